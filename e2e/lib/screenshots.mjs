import { copyFile, mkdir } from 'node:fs/promises';

const shots = new URL('../screenshots/', import.meta.url).pathname;
const docs = new URL('../../docs/images/', import.meta.url).pathname;

/**
 * Writes a playwright page as it is on the screen to e2e/screenshots/<name>.png. With
 * inDocs it is one of the documentation's pictures, and e2e/run.sh --docs, which sets
 * E2E_DOCS, copies it to docs/images/<inDocs>.png.
 */
export async function screenshot(page, name, { inDocs, fullPage = false } = {}) {
  await mkdir(shots, { recursive: true });
  const path = `${shots}${name}.png`;
  await page.screenshot({ path, fullPage, animations: 'disabled' });
  if (inDocs && process.env.E2E_DOCS) {
    await mkdir(docs, { recursive: true });
    await copyFile(path, `${docs}${inDocs}.png`);
  }
}
