<?php
require __DIR__ . '/../shop.php';

if ($user) { // a guest has nothing to reset
    intilery_track('Signed Out');
    intilery_reset();
}
session_destroy();
header('Location: /', true, 303);
exit;
