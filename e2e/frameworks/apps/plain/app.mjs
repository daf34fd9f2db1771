// A sign-in in 20 lines, without a framework.
import { createServer } from 'node:http';

createServer((req, res) => {
  res.setHeader('Content-Type', 'text/html; charset=utf-8');
  const [, user] = req.headers.cookie?.match(/session=(\w+)/) ?? [];
  if (req.url === '/sign-in') {
    res.setHeader('Set-Cookie', 'session=ada; HttpOnly');
    res.setHeader('Intilery-User-Id', 'ada');
    res.setHeader('Intilery-Traits', JSON.stringify({ email: 'ada@example.com' }));
    res.writeHead(303, { Location: '/' }).end();
  } else if (req.url === '/logout') {
    res.setHeader('Set-Cookie', 'session=; Max-Age=0');
    if (user) res.setHeader('Intilery-Reset', 'true');
    res.writeHead(303, { Location: '/' }).end();
  } else {
    const action = user ? '/logout' : '/sign-in';
    res.end(`<!doctype html><title>App</title><link rel="icon" href="data:,"><form method="post" action="${action}"><button>${action}</button></form>`);
  }
}).listen(process.env.PORT ?? 3000);
