#!/bin/sh
# Runs the built binary with SDKs that others have made, and in real browsers:
# Chromium, Firefox and WebKit with ITP, each with both generations of the tag. Prints
# the counts and a table of results, which it leaves in e2e/results.md. Fails if any
# case fails.
#
#   e2e/run.sh          build ./caddy, run all cases
#   e2e/run.sh --docs   and copy the table into docs/identity.md, and pictures of the
#                       pages into docs/images
#
# Needs Go, node 20 or newer and npm. Debian packages that are missing are
# installed, which needs root or sudo. E2E_CADDY names another binary to test.
set -eu

cd "$(dirname "$0")"

LIMIT=25m # of the whole run

fail() {
	echo "e2e/run.sh: $*" >&2
	exit 1
}

case ${1-} in
'' | --docs) ;;
*)
	sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

. ./lib/debian.sh
want /usr/bin/chromium chromium
want /usr/bin/firefox-esr firefox-esr
want /usr/bin/certutil libnss3-tools
want '/usr/lib/*/webkit2gtk-4.*/MiniBrowser' webkit2gtk-driver
want /usr/bin/Xvfb xvfb
want /usr/bin/sqlite3 sqlite3
install_missing

node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' || fail "node 20 or newer is needed"
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --silent
../collect/tag/assets/build.sh --check || fail "collect/tag/assets is not what build.sh makes of the packages"
# The classic tag is written for bundlers that know node's global object.
node_modules/.bin/esbuild tags/*.js --bundle --minify --define:global=window --outdir=build --log-level=warning
[ -n "${E2E_CADDY-}" ] || ../xcaddy.sh build

status=0
[ "${1-}" != --docs ] || export E2E_DOCS=1
# SDKs of servers and of other languages, the tag that the site serves, and our pages.
timeout 10m node --test --test-concurrency=1 clients.test.mjs tag.test.mjs sandbox.test.mjs operator.test.mjs || status=$?
# One file after the other, so that two browsers never run at once.
timeout "$LIMIT" node --test --test-concurrency=1 \
	--test-reporter=spec --test-reporter-destination=stdout \
	--test-reporter=./lib/table.mjs --test-reporter-destination=results.md \
	chromium.test.mjs firefox.test.mjs webkit.test.mjs || status=$?
cat results.md
if [ "${1-}" = --docs ]; then
	sed -i -e '/<!-- e2e:begin/,/<!-- e2e:end/{/<!-- e2e:begin/{p;r results.md
};/<!-- e2e:end/p;d}' ../docs/identity.md
fi
exit "$status"
