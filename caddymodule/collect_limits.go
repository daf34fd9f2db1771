package caddymodule

import (
	"math"
	"net/netip"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// maxSenders bounds how many senders are remembered, about 4 MB; the one that has
// sent nothing for the longest time is forgotten first, and may then send a burst
// again.
const maxSenders = 16384

// maxRetryAfter is the longest time in seconds that SDKs wait on request.
const maxRetryAfter = 300

// senderLimits bounds the events of each client IP and each anonymousId.
type senderLimits struct {
	rate    rate.Limit
	burst   int
	senders *lru.Cache[sender, *rate.Limiter]
}

// sender is a client's network, or an anonymousId.
type sender struct {
	network     netip.Prefix
	anonymousID string
}

func newSenderLimits(perSecond float64, burst int) *senderLimits {
	senders, err := lru.New[sender, *rate.Limiter](maxSenders)
	if err != nil { // only for a size below one
		return nil
	}
	return &senderLimits{rate: rate.Limit(perSecond), burst: burst, senders: senders}
}

// senderAt is the sender at a client IP. One that has an IPv6 address has a whole
// network of them.
func senderAt(ip string) sender {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return sender{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return sender{}
	}
	return sender{network: network}
}

// allow takes n events of a sender into account; retryAfter is 0 when they may pass,
// and else after how many seconds they may. With 0 events it looks whether one may.
func (l *senderLimits) allow(s sender, n int, now time.Time) (retryAfter int) {
	limiter, known := l.senders.Get(s)
	if !known {
		s.anonymousID = strings.Clone(s.anonymousID) // or it would keep the body it is of
		fresh := rate.NewLimiter(l.rate, l.burst)
		if earlier, there, _ := l.senders.PeekOrAdd(s, fresh); there {
			limiter = earlier
		} else {
			limiter = fresh
		}
	}
	// A full batch passes when nothing came before.
	r := limiter.ReserveN(now, min(max(n, 1), l.burst))
	wait := r.DelayFrom(now)
	if wait > 0 || n == 0 {
		r.CancelAt(now)
	}
	if wait > 0 {
		return min(max(1, int(math.Ceil(wait.Seconds()))), maxRetryAfter)
	}
	return 0
}
