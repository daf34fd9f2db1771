let last = location.href; // the tag has reported it

const titles = { '/': 'Tea', '/pricing': 'Pricing', '/contact': 'Contact' };

function show() {
  document.title = titles[location.pathname] ?? 'Not here';
  document.querySelector('main').innerHTML = `<h1>${document.title}</h1>`;
  if (location.href !== last) window.analytics.page();
  last = location.href;
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a');
  if (!link) return;
  event.preventDefault();
  history.pushState(null, '', link.href);
  show();
});
document.querySelector('#call').addEventListener('click', () => window.analytics.track('Call Requested', { hours: 'morning' }));
addEventListener('popstate', show);
show();
