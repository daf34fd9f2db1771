// A CONNECT proxy that takes every name to one port of the loopback address, so
// that a browser without host mapping of its own needs no /etc/hosts.
import { createServer } from 'node:http';
import { connect } from 'node:net';

export async function startProxy(port) {
  const sockets = new Set();
  const server = createServer((_, res) => { res.writeHead(403).end(); });
  let count = 0;
  server.on('connect', (_, client, head) => {
    count++;
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const [a, b] of [[client, upstream], [upstream, client]]) {
      sockets.add(a);
      a.on('error', () => b.destroy());
      a.on('close', () => { sockets.delete(a); b.destroy(); });
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    port: server.address().port,
    connections: () => count,
    stop: () => new Promise((resolve) => { server.close(resolve); for (const s of sockets) s.destroy(); }),
  };
}
