// No tag: a page that only the server sees.
