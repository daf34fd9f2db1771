<?php
require __DIR__ . '/../shop.php';
intilery_page('Product', ['sku' => 'teapot']);
show('<h1>Teapot</h1>');
