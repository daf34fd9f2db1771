package forwarder

import "sync"

// More than maxRejected of the last windowEvents events rejected is more than a
// few bad events: something is wrong with the site, the module or the receiver.
const (
	windowEvents = 100
	maxRejected  = windowEvents / 5
)

// rejections is the breaker against mass rejection: it remembers how the last
// events of a destination fared. Events that were never judged count as good,
// so that a destination's first bad event does not trip it.
type rejections struct {
	mu    sync.Mutex
	bad   [windowEvents]bool
	count int // of bad
	next  int
}

// accept notes n accepted events.
func (w *rejections) accept(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range min(n, windowEvents) {
		w.push(false)
	}
}

// reject notes a rejected event and reports whether it may be dead-lettered. If
// that would be one too many, it is not noted.
func (w *rejections) reject() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := w.count + 1
	if w.bad[w.next] {
		count--
	}
	if count > maxRejected {
		return false
	}
	w.push(true)
	return true
}

// reset forgets everything.
func (w *rejections) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad, w.count, w.next = [windowEvents]bool{}, 0, 0
}

func (w *rejections) push(bad bool) {
	if w.bad[w.next] {
		w.count--
	}
	if bad {
		w.count++
	}
	w.bad[w.next] = bad
	w.next = (w.next + 1) % windowEvents
}
