<!doctype html>
<title>Tea shop</title>
@yield('body')
<form method="post" action="/log-out">@csrf<button id="log-out">Log out</button></form>
