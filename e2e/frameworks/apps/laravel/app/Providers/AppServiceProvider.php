<?php
namespace App\Providers;

use App\Support\Intilery;
use Illuminate\Auth\Events\Logout;
use Illuminate\Auth\Events\Registered;
use Illuminate\Support\Facades\Event;

class AppServiceProvider extends \Illuminate\Support\ServiceProvider
{
    public function register(): void
    {
        $this->app->scoped(Intilery::class);
    }

    public function boot(): void
    {
        Event::listen(Registered::class, fn () => app(Intilery::class)->track('Signed Up'));
        Event::listen(Logout::class, function (Logout $event) {
            if ($event->user) { // a guest has nothing to reset
                app(Intilery::class)->track('Signed Out');
                app(Intilery::class)->reset();
            }
        });
    }
}
