import Link from 'next/link';
import Viewed from './viewed';

export const metadata = { title: 'Tea & Teapots', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>
        <nav>
          <Link href="/" id="to-home">Home</Link> <Link href="/products/teapot" id="to-teapot">Teapot</Link>
          <form method="post" action="/logout"><button id="log-out">Log out</button></form>
        </nav>
        {children}
        <Viewed />
      </body>
    </html>
  );
}
