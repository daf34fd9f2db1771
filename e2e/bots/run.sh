#!/bin/sh
# Measures which clients of public lists internal/navigation takes for bots, and
# prints a table. Fails if more than 3 % of a list of crawlers are taken for
# visitors, or more than 1 in 10,000 of a list of humans for bots.
#
#   e2e/bots/run.sh             the lists of npm packages, see lists.mjs
#   e2e/bots/run.sh <file>...   and further ones
#   e2e/bots/run.sh --docs      and copy the table into docs/identity.md
#
# To renew the lists, raise the versions of crawler-user-agents, isbot,
# user-agents and node-device-detector in e2e/package.json.
#
# Needs Go, node 20 or newer and npm.
set -eu

docs=
if [ "${1-}" = --docs ]; then
	docs=yes
	shift
fi
for file; do
	[ -r "$file" ] || {
		echo "e2e/bots/run.sh: cannot read $file" >&2
		exit 1
	}
done

e2e=$(cd "$(dirname "$0")/.." && pwd)
[ "$e2e/node_modules/.package-lock.json" -nt "$e2e/package-lock.json" ] || (cd "$e2e" && npm ci --silent)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
node "$e2e/bots/lists.mjs" "$@" >"$work/lists"

cd "$e2e/.."
status=0
INTILERY_BOT_LISTS=$work/lists go test -count=1 -run '^TestLists$' -v ./internal/navigation >"$work/out" || status=$?
cat "$work/out"
if [ -n "$docs" ]; then
	grep '^|' "$work/out" >"$work/table"
	sed -i -e "/<!-- bots:begin/,/<!-- bots:end/{/<!-- bots:begin/{p;r $work/table
};/<!-- bots:end/p;d}" docs/identity.md
fi
exit "$status"
