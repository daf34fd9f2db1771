// Package segment keeps numbered blocks of bytes in one directory: it is made,
// takes blocks until it is full, is closed, read, and removed as a whole. It is
// the only package that imports Badger, and all that must be known of Badger to
// keep blocks safe stands here.
//
// # How Badger is used
//
// One Badger database is one segment, so that space comes back by removing a
// directory: deletes do not give it back. Blocks are written to Badger's value
// log, once; its tables hold only where they are. There is no compaction and no
// garbage collection. A segment ends before Badger would begin a second value
// log or memtable, so no more than three files grow, and only Close writes a
// table.
//
// # What is defended against
//
//   - Badger writes through sparse memory maps: without space, a write raises
//     SIGBUS, which no program can catch. So the blocks of all that a segment
//     may write are reserved when it is made, those of its table included. A
//     file system that copies on write (btrfs) is told to overwrite in place,
//     and asked for room before each commit.
//   - Through a memory map the kernel may fault several pages in as one, all of
//     which a sync then writes. So it is told that pages are touched one by one.
//   - db.Sync leaves memtables out, and SyncWrites syncs more than is needed. So
//     the value log is synced by its file, and it alone is relied on: after a
//     crash the blocks are found in it without Badger.
//   - Badger may not open what a crash or the disk has damaged; it may lose what
//     it holds without an error; it may end the process, by log.Fatal or a panic
//     in a goroutine of its own. So only a segment that was closed is opened with
//     it, read-only, and what it does not find, or cannot open, is looked for in
//     the value log itself. A file says while an opening is under way; one that
//     was left by a crash keeps Badger out.
//   - Its panics in our own goroutines, and faults of the disk under its memory
//     maps, become errors (see contain).
//   - Badger's Close writes a table in a goroutine of Badger's own, into a new
//     file. What was reserved for it must be given back before, and another
//     program may take it in that moment. So the table is written in our own
//     goroutine first (see flushTable); when that fails, Badger is left behind.
package segment
