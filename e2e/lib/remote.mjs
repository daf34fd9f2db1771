// Remote control for a browser without an automation mode that keeps cookies:
// each page asks for commands over HTTP, runs them and posts what they return.
import { read, send } from './app.mjs';
import { until } from './wait.mjs';

const client = () => {
  const page = Math.random().toString(36).slice(2);
  let restored = false;
  let turn = 0;
  const post = (path, body) => fetch(`https://remote.test${path}`, {
    method: 'POST', credentials: 'omit', body: JSON.stringify({ page, ...body }),
  });
  async function poll(mine) {
    while (mine === turn) {
      try {
        const answer = await post('/poll', { url: location.href, restored, loaded: document.readyState === 'complete' });
        const { number, code, argument } = await answer.json();
        if (code) {
          let result, error;
          try { result = await (0, eval)(`(${code})`)(argument); } catch (e) { error = String(e); }
          await post('/result', { number, result, error });
        }
      } catch { /* the page was frozen in flight */ }
      await new Promise((resolve) => { setTimeout(resolve, 40); });
    }
  }
  // A page that comes back from the back/forward cache may have lost the answer
  // that it was waiting for.
  addEventListener('pageshow', (e) => {
    if (!e.persisted) return;
    restored = true;
    poll(++turn);
  });
  poll(turn);
};

export class Remote {
  script = `(${client})()`;
  #pages = new Map(); // by the page's own random name
  #results = new Map();
  #number = 0;

  async answer(req, res) {
    const message = JSON.parse((await read(req)) || '{}');
    res.setHeader('Access-Control-Allow-Origin', '*');
    if (req.url === '/result') {
      this.#results.set(message.number, message);
      return send(res, 200, '{}', 'application/json');
    }
    const page = this.#pages.get(message.page) ?? { name: message.page, commands: [] };
    this.#pages.set(page.name, Object.assign(page, { ...message, seen: Date.now() }));
    send(res, 200, JSON.stringify(page.commands.shift() ?? {}), 'application/json');
  }

  /** Waits for a loaded page at url that has been heard of after `since`. */
  page(url, since) {
    return until(`the page ${url}`, () => [...this.#pages.values()]
      .find((p) => p.url === url && p.loaded && p.seen > since), { seconds: 20 });
  }

  /** Runs a function in the page that navigates away, so that no answer comes. */
  depart(page, fn, argument) {
    page.commands.push({ number: ++this.#number, code: String(fn), argument });
  }

  /** Runs a function in the page and returns what it returns. */
  async run(page, fn, argument) {
    const number = ++this.#number;
    page.commands.push({ number, code: String(fn), argument });
    const { result, error } = await until(`an answer from ${page.url}`, () => this.#results.get(number));
    if (error) throw new Error(`in ${page.url}: ${error}`);
    return result;
  }
}
