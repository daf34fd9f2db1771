#!/bin/sh
# Measures the queue of this checkout and that of an earlier revision in turn, and
# prints the medians and their ratio.
#
#	./live/turns.sh <revision> [rounds] [benchtime]
#
# live/testdata/<revision>.go.txt stands for queue_test.go where that revision
# had another API.
set -eu
cd "$(dirname "$0")/.."
rev=$1 rounds=${2:-5} time=${3:-60000x}
dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/tree" >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
git worktree add --quiet --detach "$dir/tree" "$rev"
mkdir -p "$dir/tree/bench/live"
cp live/*_test.go "$dir/tree/bench/live/"
[ ! -f "live/testdata/$rev.go.txt" ] || cp "live/testdata/$rev.go.txt" "$dir/tree/bench/live/queue_test.go"
go test -c -o "$dir/now" ./live
(cd "$dir/tree/bench" && go test -c -o "$dir/then" ./live)
for _ in $(seq "$rounds"); do
	for which in "then" now; do
		"$dir/$which" -test.run '^$' -test.bench Live -test.benchtime "$time" | sed -n "s/^BenchmarkLive/$which &/p" | tee -a "$dir/out"
	done
done
awk '
	{ for (i = 4; i < NF; i += 2) if ($(i+1) !~ /events|ns/ || $(i+1) ~ /cpu/) v[$2 " " $(i+1), $1, ++n[$2 " " $(i+1), $1]] = $i; keys[$2] = 1 }
	function median(k, w,   a, c, i, j, t) {
		c = n[k, w]
		for (i = 1; i <= c; i++) a[i] = v[k, w, i]
		for (i = 1; i <= c; i++) for (j = i + 1; j <= c; j++) if (a[j] < a[i]) { t = a[i]; a[i] = a[j]; a[j] = t }
		return a[int((c + 1) / 2)]
	}
	END {
		for (b in keys) for (m = 1; m <= 2; m++) {
			k = b " " (m == 1 ? "cpu-µs/event" : "disk-B/B")
			printf "%s: %s then, %s now, ratio %.2f\n", k, median(k, "then"), median(k, "now"), median(k, "now") / median(k, "then")
		}
	}' "$dir/out"
