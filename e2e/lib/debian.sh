# shellcheck shell=sh
# Debian packages for the scripts that source this. Needs root or sudo.

missing=

# want <file pattern> <Debian package> notes a package whose file is missing.
want() {
	# shellcheck disable=SC2086 # the pattern is to be expanded
	ls $1 >/dev/null 2>&1 || missing="$missing $2"
}

# install_missing installs the packages noted, and starts none of their services: the
# tests start what they need, each with a folder of its own.
install_missing() {
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || {
		echo "$0: these Debian packages are missing:$missing" >&2
		exit 1
	}
	root=
	[ "$(id -u)" = 0 ] || root=sudo
	echo "Installing$missing ..." >&2
	$root apt-get update -qq
	policy=/usr/sbin/policy-rc.d
	[ ! -e "$policy" ] || policy=
	[ -z "$policy" ] || printf '#!/bin/sh\nexit 101\n' | $root install -m 755 /dev/stdin "$policy"
	status=0
	# shellcheck disable=SC2086 # a list
	DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing >/dev/null || status=$?
	[ -z "$policy" ] || $root rm -f "$policy"
	return "$status"
}
