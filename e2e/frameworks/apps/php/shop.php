<?php
// What all pages begin with.
require __DIR__ . '/users.php';

require __DIR__ . '/intilery.php';
session_start();

// Each page of a signed-in user identifies them; the module sends only what is new.
$user = find_user($_SESSION['user_id'] ?? null); // as your app does it
if ($user) {
    intilery_identify($user);
}

function form(string $action, array $fields): string
{
    $inputs = array_map(fn ($name) => "<input name=\"$name\">", $fields);
    return "<form method=\"post\" action=\"$action\">" . implode('', $inputs) . '<button id="send">Send</button></form>';
}

function show(string $body): void
{
    echo "<!doctype html><title>Tea shop</title>$body
        <form method=\"post\" action=\"/log-out.php\"><button id=\"log-out\">Log out</button></form>";
}
