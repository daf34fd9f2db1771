document.querySelector('#newsletter')?.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { list } = event.target;
  const answer = await fetch('/newsletter', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ list: list.value }),
  });
  if (answer.ok) event.target.outerHTML = '<p id="subscribed">Thank you</p>';
});
