import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

/**
 * Calls probe until it returns something truthy, and returns that. What it was
 * waiting for is named in the error, with what() for details.
 */
export async function until(name, probe, { seconds = 15, what = () => '' } = {}) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${name} ${what()}`.trim());
    await sleep(50);
  }
}
