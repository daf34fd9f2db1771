// Package wal is a durable log of byte records, divided into lanes, on local disk.
//
// A producer appends records to a lane and never waits: a record goes into a
// bounded ring in memory, from which one writer commits groups to disk. A
// consumer reads each lane in order and acknowledges what it has dealt with.
//
// # What is promised
//
//   - Append touches memory only. It never waits for the disk, whatever the
//     disk does.
//   - Once Flush has returned nil, every record that was appended before it and
//     not shed survives the death of the process, and under SyncGroup, which is
//     the default, the loss of power.
//   - A lane's records are read in the order in which they were appended, under
//     sequence numbers that begin at 1, rise, and are never given out twice.
//   - Every record offered is at some time exactly one of: in the ring,
//     committed, shed (counted by class and cause), erased (DropHeld, by class),
//     or dropped at Close (counted as lost). What was committed and cannot be
//     read any more, or was dropped at MaxBytes or MaxAge, is counted as lost, by
//     cause; the latter by class too.
//   - The directory stays within MaxBytes, whatever comes in.
//   - With Keys, records reach the disk sealed with AES-256-GCM only. Lane names,
//     sequences, classes, sizes and times are not secret.
//   - A drained log costs nothing: no reads, no writes, and no timer but the one of MaxAge.
//   - No state of the directory stops the process or blocks Append: a directory
//     that is missing, full, read-only, damaged or held by another process is
//     tried again until it works, and Stats says why.
//
// # What is assumed
//
//   - fsync, msync and rename do what POSIX says, on a local file system.
//   - A write that a crash interrupts may be torn, but bytes that were synced
//     before stay as they were; when they do not, checksums find it.
//   - Nothing but this package changes the directory, and one process at a time
//     owns it (enforced by a lock file on Unix).
//   - Free space does not fall from the floor to zero within one commit. Badger
//     writes through a sparse memory map: running out of blocks there raises
//     SIGBUS, which no program can catch.
//
// # What is lost
//
// A crash of the process loses what is still in the ring, about GroupDelay of
// records. A loss of power costs the same under SyncGroup, SyncEvery of records
// more under SyncInterval, and under SyncOS what the system had not written yet,
// about 30 s on Linux; those records are not counted, since no disk knows of
// them. Delivery is at least once: acknowledgements are written lazily, so a
// crash makes the consumer see up to a second of acknowledged records again.
//
// # What it does not do
//
// The package knows nothing of what a record means, does not retry, and does
// not copy records to other machines. It does not erase committed records one by
// one: that is for who reads them.
//
// # On disk
//
//	<dir>/lock                       held by flock for as long as the log is open
//	<dir>/ledger                     lanes, cursors and generations (ledger.go)
//	<dir>/gen-<n>/                   one generation: a Badger database of packs (pack.go)
//	<dir>/gen-<n>/KEY                which key sealed it, if one did (seal.go)
//	<dir>/gen-<n>/OPENING            there while Badger opens it; counts attempts
//	<dir>/removed-<n>/               a drained generation on its way out
//	<dir>/quarantine-<time>-gen-<n>/ a generation that could not be opened or read
//
// Generations exist because deletes do not give Badger's disk space back. A
// generation takes writes until it is large, old or drained, is read to its end,
// and then goes as a whole directory; damage stays confined to one of them.
package wal
