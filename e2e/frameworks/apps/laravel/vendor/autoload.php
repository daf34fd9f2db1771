<?php
// Composer's part: Debian's packages, and the app's own classes.
require 'Illuminate/autoload.php';
spl_autoload_register(function (string $class) {
    if (str_starts_with($class, 'App\\')) {
        require dirname(__DIR__) . '/app/' . strtr(substr($class, 4), '\\', '/') . '.php';
    }
});
