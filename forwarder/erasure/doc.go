// Package erasure remembers which visitors' events may not be sent any more.
//
// Records in the log are not rewritten. A tombstone names a visitor and a place
// in each lane: what the visitor has before that place is not to be sent, also by
// later processes. Tombstones hold a keyed digest in place of the ID; so does the
// audit file, which has a line for each erasure that somebody asked for.
//
// # What is promised
//
//   - A tombstone counts once it is on disk, and then in later processes too.
//   - There is one tombstone for each ID. It goes when nothing is left before its
//     places.
//   - Adding one costs the same however many there are: the file is appended to, and
//     written anew when more than half of it is out of date. Whether an event is
//     covered takes the same time however many there are.
//   - The audit file is bounded.
//
// # What it does not do
//
// It finds no events, and it does not know which of them were sent.
package erasure
