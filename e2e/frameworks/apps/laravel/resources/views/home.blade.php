@extends('layout')
@section('body')
<form method="post" action="/order">@csrf<button id="order">Order</button></form>
<form id="newsletter">@csrf<input type="hidden" name="list" value="tea"><button>Subscribe</button></form>
<script>
document.getElementById('newsletter').addEventListener('submit', async (e) => {
  e.preventDefault();
  const { subscribed } = await (await fetch('/newsletter', { method: 'POST', body: new FormData(e.target) })).json();
  if (subscribed) e.target.insertAdjacentHTML('beforeend', '<output id="subscribed">Thank you</output>');
});
</script>
@endsection
