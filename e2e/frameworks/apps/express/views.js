'use strict';

const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const layout = (title, body) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escape(title)}</title>
<link rel="icon" href="data:,">
<script src="/shop.js" defer></script>
<h1>${escape(title)}</h1>
${body}
<form method="post" action="/logout"><button id="log-out">Log out</button></form>
`;

const homePage = (user) => `
<p>${user ? `Hello ${escape(user.name || user.email)}` : 'Welcome'}</p>
<a href="/products/teapot">Teapot</a>
<form method="post" action="/order"><button id="order">Buy now</button></form>
<form id="newsletter"><input name="list" value="autumn"><button>Subscribe</button></form>
`;

const productPage = (sku) => `<p>${escape(sku)}</p>`;

const formPage = (action, names, values = {}) => `
<form method="post" action="${action}">
${names.map((name) => `<input name="${name}" value="${escape(values[name] ?? '')}">`).join('\n')}
<button id="send">Send</button>
</form>
`;

const adminPage = (users) => `<ul>${users.map((u) => `<li>${escape(u.email)}</li>`).join('')}</ul>`;

module.exports = { layout, homePage, productPage, formPage, adminPage };
