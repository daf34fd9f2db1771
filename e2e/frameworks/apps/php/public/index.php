<?php
require __DIR__ . '/../shop.php';
intilery_page('Home');
show('<form method="post" action="/order.php"><button id="order">Order</button></form>
<form id="newsletter"><button>Subscribe</button></form>
<script>
document.getElementById("newsletter").addEventListener("submit", async (e) => {
  e.preventDefault();
  const { subscribed } = await (await fetch("/newsletter.php", { method: "POST" })).json();
  if (subscribed) e.target.insertAdjacentHTML("beforeend", "<output id=subscribed>Thank you</output>");
});
</script>');
