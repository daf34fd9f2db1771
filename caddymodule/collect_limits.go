package caddymodule

import (
	"math"
	"net/netip"
	"slices"
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

// charge is a number of events of a sender.
type charge struct {
	sender sender
	events int
}

// allow takes all of the charges into account, or none; retryAfter is 0 when they
// may pass, and else after how many seconds they may. More events than the burst pass
// together when nothing came before, and are paid for afterwards. Of the first
// charge's events one has been paid for, by pass.
func (l *senderLimits) allow(now time.Time, charges ...charge) (retryAfter int) {
	var held []*rate.Reservation
	for i, c := range charges {
		first := l.burst
		if i == 0 {
			first, c.events = l.burst-1, c.events-1
		}
		limiter := l.limiter(c.sender)
		for left := c.events; left > 0; {
			n := min(left, max(first, 1))
			r := limiter.ReserveN(now, n)
			held = append(held, r)
			if wait := r.DelayFrom(now); wait > 0 && left == c.events && first > 0 {
				for _, r := range slices.Backward(held) {
					r.CancelAt(now)
				}
				return retryIn(wait)
			}
			left -= n
			first = l.burst
		}
	}
	return 0
}

// pass takes one event of a sender into account, before anything is known of what it
// sends: also a request that is refused costs as much.
func (l *senderLimits) pass(now time.Time, s sender) (retryAfter int) {
	r := l.limiter(s).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait <= 0 {
		return 0
	}
	r.CancelAt(now)
	return retryIn(wait)
}

func retryIn(wait time.Duration) int {
	return min(max(1, int(math.Ceil(wait.Seconds()))), maxRetryAfter)
}

func (l *senderLimits) limiter(s sender) *rate.Limiter {
	if known, ok := l.senders.Get(s); ok {
		return known
	}
	s.anonymousID = strings.Clone(s.anonymousID) // or it would keep the body it is of
	fresh := rate.NewLimiter(l.rate, l.burst)
	if earlier, there, _ := l.senders.PeekOrAdd(s, fresh); there {
		return earlier
	}
	return fresh
}
