<?php
namespace App\Models;

class User extends \Illuminate\Foundation\Auth\User
{
    public $timestamps = false;
    protected $fillable = ['email', 'name', 'password'];
}
