// Package event has the event, its stored form, and all that reads the stored
// form.
//
// An event is one call of Intilery's Tracking API. It is stored as the JSON that
// is sent, all but sentAt: the API corrects clock skew by it, so it is spliced in
// at each attempt to send.
package event
