import { track, viewed } from './intilery.js';

const titles = { '/': 'Tea', '/pricing': 'Pricing', '/contact': 'Contact' };

function show() {
  document.title = titles[location.pathname] ?? 'Not here';
  document.querySelector('main').innerHTML = `<h1>${document.title}</h1>`;
  viewed();
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a');
  if (!link) return;
  event.preventDefault();
  history.pushState(null, '', link.href);
  show();
});
document.querySelector('#call').addEventListener('click', () => track('Call Requested', { hours: 'morning' }));
addEventListener('popstate', show);
show();
