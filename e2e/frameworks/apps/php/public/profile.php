<?php
require __DIR__ . '/../shop.php';
if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    show(form('/profile.php', ['name']));
    exit;
}
query('UPDATE users SET name = ? WHERE id = ?', [$_POST['name'], $user['id']]);
header('Location: /', true, 303);
