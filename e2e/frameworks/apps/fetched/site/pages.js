// What Turbo Drive and hx-boost do: links are fetched, and their body put into the page.
const fetched = async (url) => new DOMParser().parseFromString(await (await fetch(url, { headers: { Accept: 'text/html' } })).text(), 'text/html');

document.addEventListener('click', async (event) => {
  const link = event.target.closest('a');
  if (!link) return;
  event.preventDefault();
  const page = await fetched(link.href);
  history.pushState(null, '', link.href);
  document.title = page.title;
  document.querySelector('main').replaceWith(page.querySelector('main'));
  const part = await fetched('/parts/basket.html');
  document.querySelector('aside').replaceChildren(part.querySelector('#basket'));
});
