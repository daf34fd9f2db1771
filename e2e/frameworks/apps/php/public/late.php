<?php
require __DIR__ . '/../shop.php';
while (ob_get_level() > 0) {
    ob_end_flush();
}
echo '<!doctype html><title>Too late</title><h1>The page</h1>';
flush();
intilery_track('Too Late');
intilery_reset();
echo '<p id="end">The end of the page</p>';
