// A CONNECT proxy that takes every name to one port of the loopback address, so
// that a browser without host mapping of its own needs no /etc/hosts.
import { createServer } from 'node:http';
import { connect } from 'node:net';

export async function startProxy(port) {
  const sockets = new Set();
  const server = createServer((_, res) => { res.writeHead(403).end(); });
  const closed = new Set(); // names
  let count = 0;
  server.on('connect', ({ url }, client, head) => {
    count++;
    const [name] = url.split(':');
    if (closed.has(name)) return client.destroy();
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const [a, b] of [[client, upstream], [upstream, client]]) {
      sockets.add(Object.assign(a, { name }));
      a.on('error', () => b.destroy());
      a.on('close', () => { sockets.delete(a); b.destroy(); });
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    port: server.address().port,
    connections: () => count,

    /** Ends the connections to a name, and refuses others until open(). */
    close(name) {
      closed.add(name);
      for (const s of sockets) if (s.name === name) s.destroy();
    },
    open: (name) => closed.delete(name),
    stop: () => new Promise((resolve) => { server.close(resolve); for (const s of sockets) s.destroy(); }),
  };
}
