#!/bin/sh
# Runs ordinary apps of several frameworks behind the built binary, each with the files
# of its page in docs/frameworks and nothing else, and visits them in Chromium as a
# person would. Fails if any case fails.
#
#   e2e/frameworks/run.sh            build ./caddy, run all apps
#   e2e/frameworks/run.sh express    run one
#
# Needs Go, node 20 or newer and npm. Debian packages that are missing are installed,
# which needs root or sudo. E2E_CADDY names another binary to test.
set -eu

cd "$(dirname "$0")"

LIMIT=10m # of the whole run

. ../lib/debian.sh
want /usr/bin/chromium chromium
# What the apps need of Debian, a line each:
want /usr/lib/python3/dist-packages/django python3-django
want /usr/bin/gunicorn gunicorn
want /usr/bin/uvicorn uvicorn
want '/usr/sbin/php-fpm8*' php8.2-fpm
want /usr/share/php/Illuminate/Foundation php-laravel-framework
want '/usr/lib/php/*/pdo_sqlite.so' php8.2-sqlite3
# With php and a small server WordPress asks for no Apache.
want /usr/share/wordpress/wp-load.php 'wordpress php mini-httpd'
want /usr/share/wordpress/wp-content/themes/twentytwentythree wordpress-theme-twentytwentythree
want /usr/sbin/mariadbd mariadb-server-core
want /usr/bin/rails ruby-railties
want '/usr/share/rubygems-integration/*/gems/activerecord-*' ruby-activerecord
want /usr/bin/puma puma
want '/usr/share/rubygems-integration/*/specifications/sqlite3-*' ruby-sqlite3
want '/usr/share/rubygems-integration/*/gems/devise-*' ruby-devise
install_missing

for folder in .. apps/*; do
	[ ! -f "$folder/package-lock.json" ] || [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] ||
		(cd "$folder" && npm ci --silent)
done
[ -n "${E2E_CADDY-}" ] || ../../xcaddy.sh build

# One file after the other, so that two apps never run at once.
# shellcheck disable=SC2086 # the pattern is to be expanded
exec timeout "$LIMIT" node --test --test-concurrency=1 --test-reporter=spec ${1-*}.test.mjs
