<?php
namespace App\Providers;

class RouteServiceProvider extends \Illuminate\Foundation\Support\Providers\RouteServiceProvider
{
    public function boot(): void
    {
        $this->loadRoutesFrom(base_path('routes/web.php'));
    }
}
