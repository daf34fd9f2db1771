<?php
namespace App\Http\Controllers;

use App\Models\User;
use App\Support\Intilery;
use Illuminate\Auth\Events\Registered;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Hash;

class ShopController extends \Illuminate\Routing\Controller
{
    public function home(Intilery $intilery)
    {
        $intilery->page('Home');
        return view('home');
    }

    public function show(string $sku, Intilery $intilery)
    {
        $intilery->page('Product', ['sku' => $sku]);
        return view('text', ['text' => $sku]);
    }

    public function order(Intilery $intilery)
    {
        $intilery->track('Order Completed', ['total' => 38, 'currency' => 'GBP']);
        $intilery->track('Coupon Used', ['code' => 'TEA10']);
        return redirect('/');
    }

    public function consent(Request $request, Intilery $intilery)
    {
        $intilery->consent($request->input('choice') === 'yes');
        return redirect('/');
    }

    public function newsletter(Request $request, Intilery $intilery)
    {
        $intilery->track('Newsletter Subscribed', ['list' => $request->input('list')]);
        return response()->json(['subscribed' => true]);
    }

    public function form(Request $request)
    {
        $fields = ['sign-up' => ['email', 'name', 'password'], 'sign-in' => ['email', 'password'], 'profile' => ['name']];
        return view('form', ['fields' => $fields[$request->path()]]);
    }

    /** As a starter kit does it. */
    public function signUp(Request $request)
    {
        $user = User::create(['password' => Hash::make($request->password)] + $request->only('email', 'name'));
        event(new Registered($user));
        Auth::login($user);
        return redirect('/');
    }

    public function signIn(Request $request)
    {
        if (!Auth::attempt($request->only('email', 'password'))) {
            return response('Wrong password.', 403);
        }
        $request->session()->regenerate();
        return redirect('/');
    }

    public function profile(Request $request)
    {
        $request->user()->forceFill(['name' => $request->name])->save();
        return redirect('/');
    }

    public function logOut(Request $request)
    {
        Auth::logout();
        $request->session()->invalidate();
        $request->session()->regenerateToken();
        return redirect('/');
    }

    public function text(Request $request)
    {
        return view('text', ['text' => $request->path()]);
    }

    public function fail()
    {
        throw new \RuntimeException('an error of the app');
    }

}
