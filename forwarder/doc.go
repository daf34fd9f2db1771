// Package forwarder takes events about a site's visitors and brings them to
// Intilery.
//
// An event is captured into memory, made durable by a log, and sent in batches
// by a few lanes per destination. All events of one visitor share a lane and a
// lane has one batch in flight, so a visitor's events arrive in the order in
// which they were captured. A command (send_email, send_sms, send_print,
// send_push, start_journey) that follows an identify of the same user is deferred
// until 500 ms after that identify was acknowledged; meanwhile other visitors of
// the lane overtake it.
//
// It promises that Capture never waits on disk or network; that each captured
// event ends once: acknowledged, dead-lettered with a reason, erased, or counted
// as shed or lost by cause (see Stats); and that Close returns within two seconds, or
// twelve in a fleet, whatever the network does. Delivery is at least once: an event is sent again,
// with the same messageId and timestamp, when the outcome of an attempt is
// unknown, and after a restart also when it had overtaken a deferred command.
//
// It assumes that the log keeps what it has committed and that one Forwarder
// has a data directory to itself.
//
// It does not decide who a visitor is, what may be tracked, or which request is
// a page view: that is its caller's. Between two different identities of one
// person (an anonymousId in the browser, a bare userId from a server) it gives
// no order.
package forwarder
