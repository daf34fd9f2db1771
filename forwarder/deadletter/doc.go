// Package deadletter keeps events that Intilery refused for good, as JSON lines
// beside the log: they outlive it, and people can read them. A fleet keeps the same
// lines in streams.
//
// A letter is on disk when Add returns. The event in it is kept as it was sent,
// and never parsed again: whatever it holds, its letter can be listed, replayed,
// purged and erased.
package deadletter
