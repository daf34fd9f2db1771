// Package collect is the wire between SDKs and the site's own endpoint: which
// paths they send to, how their bodies are encoded and shaped, and what they take
// for an answer. It knows Segment's family, which Intilery's tag belongs to, and
// Intilery's Tracking API.
//
// It promises that a body is read within bounds of size, inflated size, nesting and
// count; that an event that cannot be taken is named and loses no other one; that
// values inside of properties and traits pass as they are, without being decoded;
// and that no answer repeats what a client has sent.
//
// It does not know who a visitor is, who may send, or what becomes of events.
package collect
