<?php
require __DIR__ . '/../shop.php';
if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    show(form('/sign-up.php', ['email', 'name', 'password']));
    exit;
}

$user = create_user($_POST);
$_SESSION['user_id'] = $user['id'];
intilery_identify($user); // the page began before there was a user
intilery_track('Signed Up', ['plan' => 'free']);
header('Location: /', true, 303);
exit;
