// What a page of docs/frameworks tells its reader to copy.
import { readFile } from 'node:fs/promises';

const docs = new URL('../../../docs/frameworks/', import.meta.url);

// The first comment line of a block that is a file: "# Caddyfile", "// intilery.js",
// "/* wp-content/x.php */". PHP has its opening line before it.
const NAME = /^(?:<\?php\n)?(?:#|\/\/|\/\*|<!--) ?((?:[\w.@[\]-]+\/)*[\w.@[\]-]*(?:\.\w+|Caddyfile))(?: (?:\*\/|-->))?$/m;

/**
 * Reads a page: files are its fenced blocks whose first comment line is nothing but a
 * file's name, byte for byte and by that name; fragments are its other blocks in a
 * language, which its reader puts into files of their own.
 */
export async function readRecipe(page) {
  const text = await readFile(new URL(page, docs), 'utf8');
  const files = {};
  const fragments = [];
  for (const [, language, block] of text.matchAll(/^```(\w+)\n(.*?)^```$/gms)) {
    const name = block.match(NAME);
    if (name && block.startsWith(name[0])) files[name[1]] = block;
    else fragments.push({ language, block });
  }
  return { files, fragments };
}

/** A file with the addresses and folders of the docs replaced; each must be in it. */
export function placed(file, places) {
  for (const [documented, actual] of Object.entries(places)) {
    if (!file.includes(documented)) throw new Error(`the recipe does not say ${documented}:\n${file}`);
    file = file.replaceAll(documented, actual);
  }
  return file;
}

/** The files with what their reader is to choose, such as <your path>. */
export function filled(files, choices = {}) {
  const fill = (text) => Object.entries(choices).reduce((t, [name, choice]) => t.replaceAll(name, choice), text);
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, fill(text)]));
}
