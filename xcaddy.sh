#!/bin/sh
# Builds Caddy with this module, and runs the example. Needs only Go.
#
#   ./xcaddy.sh build   make ./caddy
#   ./xcaddy.sh run     make ./caddy, then start Caddyfile.example
#   ./xcaddy.sh fleet   make ./caddy, then start three nodes of Caddyfile.fleet, the
#                       NATS server that joins them, and a sandbox behind them all
#
# build and run take other plugins, each with or without a version:
#
#   ./xcaddy.sh build --with github.com/caddyserver/replace-response
#   ./xcaddy.sh build --with github.com/caddyserver/cache-handler@v0.16.0
#
# CADDY_VERSION chooses another version of Caddy, not older than that of go.mod:
#
#   CADDY_VERSION=latest ./xcaddy.sh build
set -eu

XCADDY_VERSION=v0.4.5
MODULE=github.com/intilery/caddy-intilery
CADDY=github.com/caddyserver/caddy/v2

# Nothing here needs a C compiler; one that is there may not work. Plugins may need it.
export CGO_ENABLED="${CGO_ENABLED:-0}"

cd "$(dirname "$0")"

fail() {
	echo "xcaddy.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
}

check_go() {
	command -v go >/dev/null 2>&1 ||
		fail "Go is missing. Install Go $(sed -n 's/^go //p' go.mod) or newer from https://go.dev/dl/ and put it on the PATH."
	# go itself compares its version with go.mod's, and says so when it is too old.
	go list -m >/dev/null || fail "this Go cannot build the module; see the message above. It needs Go $(sed -n 's/^go //p' go.mod) or newer."
}

# install <name> <version> <package>: has .tools/<name>-<version>.
install() {
	[ ! -x ".tools/$1-$2" ] || return 0
	echo "Installing $1 $2 ..." >&2
	GOBIN=$PWD/.tools go install "$3@$2" ||
		fail "$1 could not be installed; see the messages above. If they are about downloads: is the Go module proxy within reach (go env GOPROXY)?"
	mv ".tools/$1" ".tools/$1-$2"
}

# choose_caddy <version>: sets caddy_version to the one that Go finds for it.
choose_caddy() {
	caddy_version=$(go list -m -f '{{.Version}}' "$CADDY@$1") ||
		fail "Go finds no version $1 of Caddy; see the message above. CADDY_VERSION takes a version such as v2.11.9, latest, or a commit."
	# Go never takes a version of Caddy that is older than the one in go.mod; it
	# would build the newer one without a word.
	taken=$(
		dir=$(mktemp -d)
		trap 'rm -rf "$dir"' EXIT
		here=$PWD
		cd "$dir"
		export GOFLAGS=-mod=mod GOWORK=off
		go mod init build 2>/dev/null
		go mod edit -replace "$MODULE=$here" -require "$MODULE@v0.0.0" -require "$CADDY@$caddy_version"
		go list -m -f "{{if eq .Path \"$CADDY\"}}{{.Version}}{{end}}" all
	) || fail "the modules that Caddy $caddy_version needs were not found; see the message above."
	[ "$taken" = "$caddy_version" ] ||
		fail "Caddy $caddy_version is too old: this module needs $taken or newer. Leave CADDY_VERSION out to build with the version it is tested with."
}

# build [--with <module>[@<version>]]...: makes ./caddy.
build() {
	plugins=
	for arg in "$@"; do
		[ "$arg" = --with ] || plugins="$plugins $arg"
	done
	check_go
	install xcaddy $XCADDY_VERSION github.com/caddyserver/xcaddy/cmd/xcaddy
	go mod download || fail "the modules of go.mod could not be downloaded. Is the Go module proxy within reach (go env GOPROXY)?"
	if [ -z "${CADDY_VERSION-}$plugins" ]; then
		# All modules are downloaded by now, and checked against go.sum. With the proxy
		# off, xcaddy takes this checkout for the module and asks nobody else for it;
		# the checksum database would be asked past the proxy, so it is off as well.
		settings="GOPROXY=off GOSUMDB=off"
	else
		# Other modules come from the proxy. For this one Go would look past the
		# checkout for newer versions: it may ask neither the proxy nor GitHub.
		# Go takes no empty entry in GOVCS.
		govcs=$(go env GOVCS)
		settings="GONOPROXY=$MODULE,$(go env GONOPROXY) GOVCS=$MODULE:off${govcs:+,$govcs}"
	fi
	if [ -n "${CADDY_VERSION-}" ]; then
		choose_caddy "$CADDY_VERSION"
	else
		caddy_version=$(go list -m -f '{{.Version}}' "$CADDY")
	fi
	echo "Building ./caddy: Caddy $caddy_version with $MODULE${plugins:+ and$plugins}. The first time takes minutes ..." >&2
	# shellcheck disable=SC2086 # one argument for each setting
	env $settings ".tools/xcaddy-$XCADDY_VERSION" build "$caddy_version" \
		--with "$MODULE/caddymodule" --replace "$MODULE=$PWD" "$@" --output ./caddy >.tools/build.log 2>&1 || {
		[ -n "$plugins" ] || {
			cat .tools/build.log >&2
			fail "the build failed; see above."
		}
		# What xcaddy and Go say as they go along hides what is wrong.
		sed '1,/Pinning versions/d' .tools/build.log |
			grep -Ev '\[(INFO|FATAL)\]|^go: (downloading|added|upgraded|finding|found|trying|creating|to add) ' | tail -15 >&2
		fail "the build failed; see above, and .tools/build.log for all of it. Do these plugins and versions exist, and do they fit Caddy $caddy_version:$plugins?"
	}
	echo "Built ./caddy" >&2
}

# The demo fleet. Each process has a file <name>.pid in $fleet for as long as it should
# run. One shell starts all of them, because it must notice when one of them ends; it is
# asked to start one again by a file <name>.start.
fleet=.demo/fleet
processes="broker sandbox a b c"

# describe <process>: sets what, where and the ports.
describe() {
	case $1 in
	broker) what="the NATS server" where=127.0.0.1:4250 ports=4250 ;;
	sandbox) what="the sandbox" where=http://localhost:8081 ports=8081 ;;
	a) what="node a" where=http://localhost:8080 ports="8080 2019" ;;
	b) what="node b" where=http://localhost:8082 ports="8082 2020" ;;
	c) what="node c" where=http://localhost:8083 ports="8083 2021" ;;
	*) fail "there is no process $1; use one of: $processes" ;;
	esac
}

# program <process>: becomes it.
program() {
	case $1 in
	broker) exec ".tools/nats-server-$nats_version" --addr 127.0.0.1 --port 4250 --jetstream --store_dir "$fleet/broker" ;;
	sandbox) exec ./caddy run --config Caddyfile.sandbox --adapter caddyfile ;;
	esac
	export NODE="$1" PORT="${ports% *}" ADMIN_PORT="${ports#* }"
	exec ./caddy run --config Caddyfile.fleet --adapter caddyfile
}

pid() { cat "$fleet/$1.pid"; }
alive() { kill -0 "$(pid "$1")" 2>/dev/null; }

# launch <process>: starts it; returns 1 and says why if that is not possible.
launch() {
	describe "$1"
	# shellcheck disable=SC2086 # one argument for each port
	taken=$(go run ./internal/freeport/taken $ports | tr '\n' ' ')
	if [ -n "$taken" ]; then
		echo "xcaddy.sh: $what cannot start: another process uses the port ${taken% }; stop that first." >&2
		return 1
	fi
	[ ! -e "$fleet/$1.log" ] || mv "$fleet/$1.log" "$fleet/$1.log.old"
	# With job control each process has a group of its own, so that Ctrl-C reaches
	# this shell alone: the nodes must end before the server that they hand over to.
	set -m 2>/dev/null || true
	program "$1" >"$fleet/$1.log" 2>&1 </dev/null &
	echo $! >"$fleet/$1.pid"
	set +m
}

# await <process>: returns when it is ready, or 1 when it has ended or takes too long.
await() {
	tries=300
	until grep -Eqs 'Server is ready|serving initial configuration' "$fleet/$1.log"; do
		tries=$((tries - 1))
		if ! alive "$1" || [ $tries = 0 ]; then
			describe "$1"
			echo "xcaddy.sh: $what does not start; its log is $fleet/$1.log:" >&2
			tail -3 "$fleet/$1.log" >&2
			return 1
		fi
		sleep 0.1
	done
}

# halt <process>...: ends them and waits for them.
halt() {
	for p in "$@"; do
		[ ! -e "$fleet/$p.pid" ] || kill "$(pid "$p")" 2>/dev/null || true
	done
	for p in "$@"; do
		[ ! -e "$fleet/$p.pid" ] || wait "$(pid "$p")" 2>/dev/null || true
		rm -f "$fleet/$p.pid"
	done
}

stop_fleet() {
	trap '' INT TERM HUP
	halt a b c
	halt broker
	halt sandbox
	rm -f "$fleet/pid" "$fleet"/*.start
}

# show <process>: says where it is and how to kill it.
show() {
	describe "$1"
	printf '  %-16s %-22s kill -9 %s\n' "$what" "$where" "$(pid "$1")" >&2
}

# ended <process>: says what that means.
ended() {
	describe "$1"
	echo >&2
	echo "$what has ended. The others go on." >&2
	case $1 in
	broker) echo "The nodes keep events in their logs and send nothing until it is back." >&2 ;;
	sandbox) echo "Events wait in the NATS server until it is back. It has forgotten those that it has shown." >&2 ;;
	*) echo "The other nodes take over what it was sending, in about 5 seconds. What it had not handed over waits in $fleet/$1." >&2 ;;
	esac
	echo "To start it again:  ./xcaddy.sh fleet start $1" >&2
}

# start_again <process>: asks the shell that runs the fleet.
start_again() {
	describe "$1"
	{ [ -e "$fleet/pid" ] && kill -0 "$(cat "$fleet/pid")" 2>/dev/null; } || fail "no fleet runs; start it by ./xcaddy.sh fleet"
	: >"$fleet/$1.start"
	tries=400
	while [ -e "$fleet/$1.start" ] && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.1
	done
	{ [ -e "$fleet/$1.pid" ] && alive "$1"; } || fail "$what does not run; see where the fleet runs"
	show "$1"
}

run_fleet() {
	build
	# The version that the fleet is tested with.
	nats_version=$(sed -n 's|^.*github.com/nats-io/nats-server/v2 \(v[0-9.]*\).*|\1|p' fleettest/go.mod)
	install nats-server "$nats_version" github.com/nats-io/nats-server/v2
	mkdir -p "$fleet"
	all=
	for p in $processes; do
		describe "$p"
		all="$all $ports"
	done
	# shellcheck disable=SC2086 # one argument for each port
	taken=$(go run ./internal/freeport/taken $all | tr '\n' ' ')
	[ -z "$taken" ] || fail "these ports are in use: ${taken% }. Stop what uses them; if it is an earlier fleet: kill$(cat "$fleet"/*.pid 2>/dev/null | tr '\n' ' ' | sed 's/^/ /')"
	rm -f "$fleet"/*.pid "$fleet"/*.start
	echo $$ >"$fleet/pid"
	trap stop_fleet EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	for p in $processes; do launch "$p" || exit 1; done
	for p in $processes; do await "$p" || exit 1; done
	echo >&2
	for p in a b c sandbox broker; do show "$p"; done
	cat >&2 <<-EOT

		  The three nodes are one shop: sign up at one, buy at another, and watch the
		  events at the sandbox. Then kill any of them, by the command beside it, and go
		  on clicking: what was answered arrives, once or twice, but for the last 20 ms of
		  a node that is killed.

		  ./caddy intilery status --address localhost:2019   what node a sees (b: 2020, c: 2021)

		  The logs are in $fleet. Ctrl-C stops all.

	EOT
	while :; do
		for p in $processes; do
			if [ -e "$fleet/$p.pid" ] && ! alive "$p"; then
				wait "$(pid "$p")" 2>/dev/null || true
				rm -f "$fleet/$p.pid"
				ended "$p"
			fi
			[ -e "$fleet/$p.start" ] || continue
			if [ ! -e "$fleet/$p.pid" ] && launch "$p"; then
				if await "$p"; then
					echo >&2
					echo "Started again:" >&2
					show "$p"
				else
					halt "$p"
				fi
			fi
			rm -f "$fleet/$p.start"
		done
		sleep 0.5
	done
}

# plugins_only <option>...: fails unless they are --with <module>.
plugins_only() {
	while [ $# -gt 0 ]; do
		case "$1 ${2-}" in
		"--with "[!-]*) shift 2 ;;
		*)
			echo "xcaddy.sh: want --with <module>[@<version>], got: $*" >&2
			usage >&2
			exit 2
			;;
		esac
	done
}

command=${1-}
[ $# = 0 ] || shift
case $command in
build)
	plugins_only "$@"
	build "$@"
	;;
run)
	plugins_only "$@"
	build "$@"
	# On Linux a second Caddy starts on the same ports, and gets every other connection.
	taken=$(go run ./internal/freeport/taken 8080 8081 2019 | tr '\n' ' ')
	[ -z "$taken" ] || fail "these ports are in use: ${taken% }. Stop what uses them, such as another Caddy."
	cat >&2 <<-EOT

		  The shop:     http://localhost:8080   click around, sign up, buy, sign out
		  The sandbox:  http://localhost:8081   watch the events arrive

		  Ctrl-C stops both.

	EOT
	exec ./caddy run --config Caddyfile.example --adapter caddyfile
	;;
fleet)
	case ${1-} in
	'') run_fleet ;;
	start) start_again "${2-}" ;;
	*) usage >&2 && exit 2 ;;
	esac
	;;
*)
	usage >&2
	exit 2
	;;
esac
