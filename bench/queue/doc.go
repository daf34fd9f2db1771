// Package queue measures how fast events of 1 KB become durable: in our log, in
// a bare file, in the OpenTelemetry Collector's persistent queue and in NATS
// JetStream. Each is used through its own Go API, in the same directory, and
// each is told to sync before it says that an event is kept.
//
//	go test -run '^$' -bench . -benchtime 4s -count 5 ./queue
//
// All but one benchmark go in lock step: a group of events is handed over and
// waited for until it is durable, then the next one. That is the raw file's way
// of working, so the ratio compares the same groups and syncs. Stream is how
// our log is used: the producer does not wait, and groups form by themselves.
//
// Each benchmark stops its clock again and again to let the raw file append and
// sync the same events in the same groups: raw/s is what the machine gave in
// that run, and x-raw the ratio to it.
//
// A system that spends CPU suffers from a busy machine more than the raw file,
// which mostly waits; cpu-µs/event hardly does.
//
//	events/s     events made durable per second
//	raw/s, x-raw as above
//	cpu-µs/event user and system time of the process for each event
//	disk-B/B     bytes that the process caused to be written to disk for each
//	             byte of payload (write_bytes of /proc/self/io: pages as they
//	             become dirty, the file system's journal not included)
//	alloc-B/B    blocks allocated in the directory at the end, for each byte of
//	             payload
package queue
