<?php
require __DIR__ . '/../shop.php';
if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    show(form('/sign-in.php', ['email', 'password']));
    exit;
}
$user = find_by_email($_POST['email']);
if (!$user || !password_verify($_POST['password'], $user['password'])) {
    http_response_code(403);
    exit('Wrong password.');
}
$_SESSION['user_id'] = $user['id'];
intilery_identify($user);
intilery_track('Signed In');
header('Location: /', true, 303);
exit;
