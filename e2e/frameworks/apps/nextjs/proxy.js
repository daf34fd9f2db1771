import { NextResponse } from 'next/server';
import { identify, page } from './intilery';
import { userOf } from './lib/store';

const names = { '/': 'Home', '/about': 'About us' };

export function proxy(request) {
  const response = NextResponse.next();
  // The module sends only what is new. What the router fetches may be cached, so it names nobody.
  if (request.method === 'GET' && request.headers.get('accept')?.includes('text/html')) {
    const user = userOf(request.cookies.get('session')?.value); // as your app does it
    if (user) identify(response, user);
    const name = names[request.nextUrl.pathname];
    if (name) page(response, name);
  }
  return response;
}

export const config = { matcher: '/((?!_next/|api/).*)' };
