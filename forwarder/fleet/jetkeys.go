package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The keys are those of a key-value bucket, and other tools can read them. They are
// written by hand, because the library's Update drops the TTL.

// Headers and values of a bucket's markers, which stand for keys that are gone.
const (
	headerOperation = "KV-Operation"
	operationPurge  = "PURGE"
)

// gone says whether a message is a marker: one that a client wrote, or one that the
// server left when a key expired or was purged.
func gone(h nats.Header) bool {
	return h.Get(headerOperation) != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}

func (j *jetStream) Get(ctx context.Context, key string) (entry, error) {
	if !validKey.MatchString(key) {
		return entry{}, fmt.Errorf("%q is not a key", key)
	}
	s, err := j.call(ctx)
	if err != nil {
		return entry{}, err
	}
	defer s.end()
	m, err := lookup(s, j.planner.bucketStream(), lastOf{j.planner.key(key)})
	if err != nil {
		return entry{}, j.fault(s, err)
	}
	if m.sequence == 0 || gone(m.header) {
		return entry{key: key}, nil
	}
	return entry{key, m.data, m.sequence}, nil
}

// putAttempts bounds how often a key that does not exist is tried again: its marker
// may come or go between two requests.
const putAttempts = 4

func (j *jetStream) Put(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	header := nats.Header{}
	if ttl >= time.Second {
		expire(header, ttl)
	}
	return j.writeKey(ctx, key, value, header, revision)
}

// Delete leaves a marker for those who watch, which goes by itself.
func (j *jetStream) Delete(ctx context.Context, key string, revision uint64) error {
	header := nats.Header{
		headerOperation:     {operationPurge},
		jetstream.MsgRollup: {jetstream.MsgRollupSubject},
	}
	expire(header, markerTTL)
	_, err := j.writeKey(ctx, key, nil, header, revision)
	return err
}

// writeKey writes what is the key's next message. To the server a marker is a message
// like any other, so that a key that does not exist may have a last sequence.
func (j *jetStream) writeKey(ctx context.Context, key string, value []byte, header nats.Header, revision uint64) (uint64, error) {
	if !validKey.MatchString(key) {
		return 0, fmt.Errorf("%q is not a key", key)
	}
	s, err := j.call(ctx)
	if err != nil {
		return 0, err
	}
	defer s.end()
	last := revision
	for range putAttempts {
		expectLast(header, last)
		var written uint64
		written, err = write(s, &nats.Msg{Subject: j.planner.key(key), Data: value, Header: header})
		if err == nil {
			return written, nil
		}
		err = j.fault(s, err)
		if revision != 0 || !errors.Is(err, errConflict) {
			return 0, err
		}
		m, lookErr := lookup(s, j.planner.bucketStream(), lastOf{j.planner.key(key)})
		if lookErr != nil || m.sequence != 0 && !gone(m.header) || m.sequence == last {
			return 0, err // the first write was refused: that much is known
		}
		last = m.sequence
	}
	return 0, err
}

// Watch reads the bucket's last message of each key, and then what is added.
func (j *jetStream) Watch(ctx context.Context, prefixes []string, changed func(entry), synced func()) error {
	var filters []string
	for _, p := range prefixes {
		if !strings.HasSuffix(p, ".") || !validKey.MatchString(strings.TrimSuffix(p, ".")) {
			return fmt.Errorf("%q is not a prefix of keys", p)
		}
		filters = append(filters, j.planner.key(p)+">")
	}
	r, err := j.pull(ctx, j.planner.bucketStream(), jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubjects: filters,
	})
	if err != nil {
		return err
	}
	defer r.close()
	for told := false; ; {
		messages, err := r.next(ctx, watchBytes, told)
		if err != nil {
			return err
		}
		for _, m := range messages {
			e := entry{key: j.planner.keyOf(m.Subject)}
			if !gone(m.Header) {
				e.value, e.revision = m.Data, m.sequence
			}
			changed(e)
		}
		if len(messages) == 0 && !told {
			told = true
			synced()
		}
	}
}

const watchBytes = 1 << 20
