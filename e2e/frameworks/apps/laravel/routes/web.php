<?php
use App\Http\Controllers\ShopController;
use Illuminate\Support\Facades\Route;

Route::middleware('web')->group(function () {
    Route::get('/', [ShopController::class, 'home']);
    Route::get('/products/{sku}', [ShopController::class, 'show']);
    foreach (['sign-up' => 'signUp', 'sign-in' => 'signIn', 'profile' => 'profile'] as $path => $action) {
        Route::get($path, [ShopController::class, 'form']);
        Route::post($path, [ShopController::class, $action]);
    }
    Route::post('/log-out', [ShopController::class, 'logOut']);
    Route::post('/order', [ShopController::class, 'order']);
    Route::post('/newsletter', [ShopController::class, 'newsletter']);
    Route::post('/consent', [ShopController::class, 'consent']);
    Route::get('/prices', [ShopController::class, 'text'])->middleware('cache.headers:public;max_age=600');
    Route::get('/admin', [ShopController::class, 'text']);
    Route::get('/fail', [ShopController::class, 'fail']);
});
