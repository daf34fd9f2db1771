<?php
require __DIR__ . '/users.php';
database()->exec('CREATE TABLE users (id INTEGER PRIMARY KEY, email UNIQUE, name, password)');
create_user(['email' => 'grace@example.com', 'name' => 'Grace Hopper', 'password' => 'cobol-1959']);
