// Package wal is a durable log of byte records, divided into lanes, on local disk.
//
// A producer appends records to a lane and never waits: a record goes into a
// bounded buffer in memory, from which one writer commits groups to disk. A
// consumer reads each lane in order, as a queue.Source, and acknowledges what it
// has dealt with.
//
// # What is promised
//
//   - Append touches memory only. It never waits for the disk, whatever the disk
//     does.
//   - Once Flush has returned nil, every record that was appended before it and
//     not shed survives the end of the process, and under SyncGroup, which is the
//     default, the loss of power.
//   - A lane's records are read in the order in which they were appended, at
//     positions that rise and are never given out twice.
//   - Every record offered is at some time exactly one of: buffered, committed,
//     shed (counted by class and cause), erased (Drop, by class), or given up at
//     shutdown (counted as lost). A committed record ends acknowledged, or counted
//     as lost, by cause. Counts are kept as counts.
//   - The directory stays within MaxBytes, whatever comes in.
//   - With Keys, records reach the disk encrypted only. Lane names, sequences,
//     classes, sizes and times are not secret.
//   - A commit and an acknowledgement cost the same however many lanes and segments
//     there are. A drained log costs nothing: no reads, no writes, and no timer but
//     the one of MaxAge.
//   - No state of the directory stops the process or blocks Append: a directory
//     that is missing, full, read-only, damaged or held by another process is
//     tried again until it works, and Stats says why it does not.
//
// # What is assumed
//
//   - fsync and rename do what POSIX says, on a local file system.
//   - A write that a crash interrupts may be torn, but bytes that were synced
//     before stay as they were; when they do not, checksums find it.
//   - Nothing but this package changes the directory, and one process at a time
//     owns it (enforced by a lock file on Unix).
//   - Blocks that the file system has reserved are there. Where it reserves none,
//     or copies on write, free space does not fall to nothing within one commit.
//
// # What is lost
//
// The end of the process loses what is still in the buffer, about GroupDelay of
// records. A loss of power costs the same under SyncGroup, SyncEvery of records
// more under SyncInterval, and under SyncOS what the system had not written yet,
// about 30 s on Linux; those records are not counted, since no disk knows of
// them. Delivery is at least once: cursors are written lazily, so after a crash
// the consumer sees up to a second of acknowledged records again.
//
// # What it does not do
//
// The package knows nothing of what a record means, does not retry, and does
// not copy records to other machines. It does not erase committed records one by
// one: that is for who reads them.
//
// # On disk
//
//	<dir>/lock                       held for as long as the log is open
//	<dir>/manifest-0, manifest-1     lanes, cursors and segments (package manifest)
//	<dir>/seg-<n>/                   a segment: a directory of Badger (package segment) with blocks (package block)
//	<dir>/seg-<n>.index              what a segment holds that has ended (package manifest)
//	<dir>/quarantine-<time>-seg-<n>/ a segment that was drained, but for records that were lost in it
//
// A group is one commit: its records in one block, or several if it is large,
// sorted by lane. A segment takes blocks until it is full or old, is read to its
// end, and then goes as a whole.
//
// # Reading the source
//
// Each part owns its state: buffer (what waits in memory), index (lanes, cursors,
// what is pending), segments (files), cache (records about to be read),
// checkpoint (the manifest), condition (what is wrong). Two goroutines work on
// them: writer commits, janitor looks after segments that have ended. The locks
// are taken in this order: janitor.mu, checkpoint.mu, segmentInfo.mu, index.mu;
// buffer.mu, cache.mu and condition.mu are held for themselves only.
package wal
