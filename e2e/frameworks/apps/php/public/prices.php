<?php
// For caches that are shared: it knows no user.
header('Cache-Control: public, max-age=600');
echo '<!doctype html><title>Prices</title><h1>Prices</h1>';
