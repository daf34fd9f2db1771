@extends('layout')
@section('body')
<h1>{{ $text }}</h1>
@endsection
