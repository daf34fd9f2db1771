// What a page owes to people who see little or use no mouse: axe finds nothing, and
// what axe does not look at: the borders and the sizes of controls.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const source = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Fails with each violation in a playwright page, which is in the named state. */
export async function accessible(page, state) {
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(source);
  const { violations } = await page.evaluate((tags) => window.axe.run(document, { runOnly: tags, resultTypes: ['violations'] }), TAGS);
  const found = violations.flatMap((v) => v.nodes.map((n) => (
    `${v.id} (${v.impact}): ${v.help}\n  at ${n.target.join(' ')}: ${n.html.slice(0, 160)}\n  ${n.failureSummary.replaceAll('\n', '\n  ')}`)));
  found.push(...await page.evaluate(weakControls));
  assert.equal(found.length, 0, `${state}: ${found.length} barriers\n${found.join('\n')}`);
}

/**
 * The controls in sight that are less than 24 px wide or high, or whose border has
 * less than 3:1 to what is on either side of it. Runs in the page.
 */
function weakControls() {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (color) => rgba(color).slice(0, 3)
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const color = getComputedStyle(n).backgroundColor;
      if (rgba(color)[3] > 0) return color;
    }
    return 'white';
  };
  const found = [];
  for (const node of document.querySelectorAll('button, input, select, textarea, summary, [role="button"]')) {
    if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const box = node.getBoundingClientRect();
    const style = getComputedStyle(node);
    const say = (what) => found.push(`${what}\n  at ${node.outerHTML.slice(0, 160)}`);
    if (box.width < 24 || box.height < 24) say(`a target of ${Math.round(box.width)} by ${Math.round(box.height)} px`);
    if (style.borderTopStyle === 'none' || parseFloat(style.borderTopWidth) === 0) continue;
    const outside = ground(node.parentElement);
    // A control whose own ground stands out needs no border.
    const best = Math.max(contrast(style.borderTopColor, outside), contrast(ground(node), outside));
    if (best < 3) say(`a border with a contrast of ${best.toFixed(2)} to what is around it`);
  }
  return found;
}
