package fleet

import (
	"context"
	"errors"
	"time"
)

// broker is what the fleet needs of JetStream: a stream for each lane, one for each
// destination's dead letters, and a bucket of keys. Its methods may be called by any
// number of goroutines, and wait for the network until their context ends.
//
// A write whose answer was lost may have been done: errUnknown and the context's
// errors say so; a caller that must know reads back.
type broker interface {
	// start connects in the background; its errors are those of files that cannot be
	// read. serve names the
	// destinations that need streams, and close ends all.
	start() error
	serve(destinations []string)
	close()
	// Ready is nil while there is a connection and all streams are there.
	Ready() error

	// Publish appends events to a lane's stream and moves this node's position in
	// it, all or nothing. Last is the revision of the position before, 0 when there
	// was none. Events may be empty. Errors: errConflict when that is not the
	// position's revision, errFull, errUnknown.
	Publish(ctx context.Context, lane string, events []message, position []byte, last uint64) (revision uint64, err error)
	// Position returns this node's position in a lane and its revision, as the
	// stream's leader has it; 0 when there is none.
	Position(ctx context.Context, lane string) (position []byte, revision uint64, err error)
	// Read returns a reader of a lane's events behind a sequence. Reading begins
	// at its first Next.
	Read(lane string, after uint64) reader
	// Stored returns when the message of a sequence was stored; the zero time when
	// there is none.
	Stored(ctx context.Context, lane string, sequence uint64) (time.Time, error)
	// State returns what a lane's stream holds.
	State(ctx context.Context, lane string) (state, error)
	// Trim removes a lane's events before a sequence.
	Trim(ctx context.Context, lane string, before uint64) error
	// TrimPositions removes this node's positions before a revision.
	TrimPositions(ctx context.Context, lane string, before uint64) error
	// Erase removes a visitor's events from a lane.
	Erase(ctx context.Context, lane string, visitor string) error

	// LastLetter returns the ID and the sequence of the last dead letter of a visitor,
	// as the stream's leader has it; 0 when there is none.
	LastLetter(ctx context.Context, destination, visitor string) (id string, sequence uint64, err error)
	// AddLetter appends a dead letter with an ID, if the sequence of the visitor's last
	// one is last. Errors: errConflict when it is not, errTooLarge, errFull, errUnknown.
	AddLetter(ctx context.Context, destination string, letter message, id string, last uint64) error
	// Letters calls visit for each dead letter that a destination has at present, in
	// order, until that returns an error.
	Letters(ctx context.Context, destination string, visit func(stored) error) error
	// RemoveLetter removes a dead letter. It returns false when it is not there.
	RemoveLetter(ctx context.Context, destination string, sequence uint64) (bool, error)
	// PurgeLetters removes the dead letters before a sequence, and returns how many.
	PurgeLetters(ctx context.Context, destination string, before uint64) (int, error)
	// EraseLetters removes a visitor's dead letters, and returns how many.
	EraseLetters(ctx context.Context, destination, visitor string) (int, error)
	// LettersState returns what the stream of a destination's dead letters holds.
	LettersState(ctx context.Context, destination string) (state, error)

	// Get returns a key's entry, with revision 0 when it does not exist.
	Get(ctx context.Context, key string) (entry, error)
	// Put writes a key whose revision is known; 0 stands for one that does not
	// exist. With a TTL of a second or more the key goes when it was not written
	// for so long. Errors: errConflict, errUnknown.
	Put(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error)
	// Delete removes a key whose revision is known. Errors: errConflict, errUnknown.
	Delete(ctx context.Context, key string, revision uint64) error
	// Watch tells of all keys with one of the prefixes, and of their changes, until
	// ctx ends or the connection is lost: then it returns. Synced is called when all
	// that was there at the start has been told. A change with revision 0 says that
	// the key is gone.
	Watch(ctx context.Context, prefixes []string, changed func(entry), synced func()) error
}

// message is an event as it is published: visitor becomes a part of its subject.
type message struct {
	visitor string // 32 hexadecimal digits
	payload []byte
}

// stored is an event as it is read.
type stored struct {
	sequence uint64
	at       time.Time // when it was stored
	payload  []byte
}

// reader reads a lane's events in order. It is used by one goroutine.
type reader interface {
	// Next waits for events, and returns about maxBytes of what is there, but at
	// least one. After an error the reader is of no use.
	Next(ctx context.Context, maxBytes int) ([]stored, error)
	// Close frees what the reader holds at the broker.
	Close()
}

// entry is a key with its value.
type entry struct {
	key      string
	value    []byte
	revision uint64
}

// state is what a stream holds.
type state struct {
	first, last uint64 // sequences; last is the highest that was ever given out
	events      uint64
	bytes       uint64
}

// Errors of a broker, to be tested with errors.Is.
var (
	errConflict = errors.New("another writer was first")
	errFull     = errors.New("the stream is full")
	errUnknown  = errors.New("the broker has not answered")
	errNotReady = errors.New("the broker is not connected")
	errTooLarge = errors.New("the message is larger than the broker takes")
)
