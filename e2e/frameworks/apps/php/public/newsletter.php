<?php
require __DIR__ . '/../shop.php';

intilery_track('Newsletter Subscribed', ['list' => 'tea']);
header('Content-Type: application/json');
echo json_encode(['subscribed' => true]);
