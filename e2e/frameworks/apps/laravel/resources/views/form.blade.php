@extends('layout')
@section('body')
<form method="post">@csrf
@foreach ($fields as $name)<input name="{{ $name }}">@endforeach
<button id="send">Send</button></form>
@endsection
