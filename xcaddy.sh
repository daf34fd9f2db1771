#!/bin/sh
# Builds Caddy with this module, and runs the example. Needs only Go.
#
#   ./xcaddy.sh build   make ./caddy
#   ./xcaddy.sh run     make ./caddy, then start Caddyfile.example
set -eu

XCADDY_VERSION=v0.4.5
MODULE=github.com/intilery/caddy-intilery

cd "$(dirname "$0")"

fail() {
	echo "xcaddy.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '2,5s/^# \{0,1\}//p' "$0"
}

check_go() {
	command -v go >/dev/null 2>&1 ||
		fail "Go is missing. Install Go $(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/ and put it on the PATH."
	# go itself compares its version with go.mod's, and says so when it is too old.
	go list -m >/dev/null || fail "this Go cannot build the module; see the message above. It needs Go $(sed -n 's/^go //p' go.mod) or newer."
}

build() {
	check_go
	caddy_version=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
	tools=$PWD/.tools
	if [ ! -x "$tools/xcaddy-$XCADDY_VERSION" ]; then
		echo "Installing xcaddy $XCADDY_VERSION ..." >&2
		GOBIN=$tools go install "github.com/caddyserver/xcaddy/cmd/xcaddy@$XCADDY_VERSION" ||
			fail "xcaddy could not be installed. Is the Go module proxy within reach (go env GOPROXY)?"
		mv "$tools/xcaddy" "$tools/xcaddy-$XCADDY_VERSION"
	fi
	go mod download || fail "the modules of go.mod could not be downloaded. Is the Go module proxy within reach (go env GOPROXY)?"
	echo "Building ./caddy: Caddy $caddy_version with $MODULE. The first time takes minutes ..." >&2
	# All modules are downloaded by now, and checked against go.sum. With the proxy
	# off, xcaddy takes this checkout for the module and asks nobody else for it;
	# the checksum database would be asked past the proxy, so it is off as well.
	GOPROXY=off GOSUMDB=off "$tools/xcaddy-$XCADDY_VERSION" build "$caddy_version" \
		--with "$MODULE/caddymodule" --replace "$MODULE=$PWD" --output ./caddy >.tools/build.log 2>&1 || {
		cat .tools/build.log >&2
		fail "the build failed; see above."
	}
	echo "Built ./caddy" >&2
}

case ${1-} in
build)
	build
	;;
run)
	build
	cat >&2 <<-EOT

		  The shop:     http://localhost:8080   click around, sign up, buy, sign out
		  The sandbox:  http://localhost:8081   watch the events arrive

		  Ctrl-C stops both.

	EOT
	exec ./caddy run --config Caddyfile.example --adapter caddyfile
	;;
*)
	usage >&2
	exit 2
	;;
esac
