import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** n ports below those that systems give to outgoing connections, as in internal/freeport. */
export async function freePorts(n) {
  const found = [];
  for (let port = 10000 + randomInt(20000); found.length < n; port++) {
    const free = await new Promise((resolve) => {
      const server = createServer().once('error', () => resolve(false));
      server.listen(port, () => server.close(() => resolve(true)));
    });
    if (free) found.push(port);
  }
  return found;
}
