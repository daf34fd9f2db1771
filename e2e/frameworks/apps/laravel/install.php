<?php
require __DIR__ . '/vendor/autoload.php';
$app = require __DIR__ . '/bootstrap/app.php';
foreach (['storage/framework/sessions', 'storage/framework/views', 'storage/framework/cache', 'bootstrap/cache'] as $folder) {
    mkdir(__DIR__ . "/$folder", 0777, true);
}
touch(__DIR__ . '/shop.sqlite');
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();
Illuminate\Support\Facades\Schema::create('users', function ($table) {
    $table->id();
    $table->string('email')->unique();
    $table->string('name')->nullable();
    $table->string('password');
    $table->string('remember_token')->nullable();
});
App\Models\User::create([
    'email' => 'grace@example.com', 'name' => 'Grace Hopper', 'password' => Illuminate\Support\Facades\Hash::make('cobol-1959'),
]);
