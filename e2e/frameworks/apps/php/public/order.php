<?php
require __DIR__ . '/../shop.php';

intilery_track('Order Completed', ['total' => 38, 'currency' => 'GBP']);
intilery_track('Coupon Used', ['code' => 'TEA10']);
header('Location: /', true, 303);
exit;
