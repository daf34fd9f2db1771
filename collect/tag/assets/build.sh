#!/bin/sh
# Makes the built-in tags from the npm packages that e2e/package-lock.json pins.
#
#   collect/tag/assets/build.sh            write them here
#   collect/tag/assets/build.sh --check    fail if they are not what is here
#
# Needs node 20 or newer and npm.
set -eu

cd "$(dirname "$0")"
e2e=../../../e2e
[ "$e2e/node_modules/.package-lock.json" -nt "$e2e/package-lock.json" ] || (cd "$e2e" && npm ci --silent)
exec node build.mjs "$@"
