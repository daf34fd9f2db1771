<?php
// The users, in a database of SQLite.

function database(): PDO
{
    $database = new PDO('sqlite:' . __DIR__ . '/shop.sqlite', null, null, [PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC]);
    $database->exec('PRAGMA busy_timeout = 5000');
    return $database;
}

function query(string $sql, array $values = []): ?array
{
    $statement = database()->prepare($sql);
    $statement->execute($values);
    return $statement->fetch() ?: null;
}

function find_user($id): ?array
{
    return $id ? query('SELECT * FROM users WHERE id = ?', [$id]) : null;
}

function find_by_email(string $email): ?array
{
    return query('SELECT * FROM users WHERE email = ?', [$email]);
}

function create_user(array $members): array
{
    query('INSERT INTO users (email, name, password) VALUES (?, ?, ?)', [
        $members['email'], $members['name'], password_hash($members['password'], PASSWORD_BCRYPT, ['cost' => 4]),
    ]);
    return find_by_email($members['email']);
}
