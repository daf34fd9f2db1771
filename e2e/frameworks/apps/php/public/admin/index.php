<?php
require __DIR__ . '/../../shop.php';
show('<h1>Orders</h1>');
