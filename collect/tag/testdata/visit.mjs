// Opens pages in Chromium, and tells what they asked for: visit.mjs <folder with
// playwright-core> <JSON list of {url, click, until: [texts of calls]}>. Only
// loopback is reached.
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.argv[2]}/package.json`)('playwright-core');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
const results = [];
for (const { url, click, until } of JSON.parse(process.argv[3])) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const result = { calls: [], others: [], messages: [] };
  const missing = new Set(until);
  let arrived;
  const complete = new Promise((resolve) => { arrived = resolve; });
  await context.route('**', (route) => {
    const asked = route.request();
    const { origin, pathname } = new URL(asked.url());
    if (origin !== new URL(url).origin) {
      result.others.push(asked.url());
      return route.abort();
    }
    if (asked.method() === 'POST') {
      result.calls.push({ path: decodeURIComponent(pathname), body: asked.postData() });
      for (const text of missing) if (asked.postData().includes(text)) missing.delete(text);
      if (missing.size === 0) arrived();
    }
    return route.continue();
  });
  page.on('console', (message) => result.messages.push(message.text()));
  page.on('pageerror', (err) => result.messages.push(err.message));
  await page.goto(url);
  await page.waitForFunction(() => window.analytics?.initialized);
  await page.evaluate(() => void window.analytics.track('late'));
  if (click) await page.click(click);
  let timer;
  await Promise.race([complete, new Promise((resolve) => { timer = setTimeout(resolve, 10_000); })]);
  clearTimeout(timer);
  results.push(result);
  await context.close();
}
await browser.close();
process.stdout.write(JSON.stringify(results));
