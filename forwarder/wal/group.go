package wal

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/block"
	"github.com/intilery/caddy-intilery/forwarder/wal/internal/segment"
	"github.com/intilery/caddy-intilery/internal/seal"
)

const (
	// MaxRecord is the size in bytes of the largest record that a lane takes.
	MaxRecord = 500 << 10
	// maxGroup bounds a group's cost in bytes, so that one block can hold it.
	maxGroup = 1000 << 10
	// maxGroupRecords bounds the number of records of a group.
	maxGroupRecords = 4096
	// laneCost is what a lane's first record adds: its entry in a block's table.
	laneCost = 300

	// A block ends with a lane behind blockMax bytes, so that a lane that is far
	// behind need not decompress much that belongs to others. A group of apart
	// bytes or more makes two blocks at least, so that two cores can compress.
	blockMax = 128 << 10
	apart    = 64 << 10
	// A group of fastFrom bytes or more is compressed fast while readers keep up:
	// then it is on disk for a moment only.
	fastFrom = 128 << 10
	// maxEncoders bounds the goroutines that do, because the site needs the cores
	// more.
	maxEncoders = 2
)

// group is what one commit makes durable. Once it is built it does not change:
// when a commit fails, the same blocks are written again, into another segment,
// so that what the failed one may have left on disk is the same and not more.
type group struct {
	at      int64 // Unix ms of its first record
	fast    bool  // how it is compressed
	parts   []part
	blocks  []segment.Block
	records [][]queue.Record // by block, for the cache
	upto    []int            // by block: the parts up to here are in it, or in one before
	encoded chan struct{}    // closed when blocks is there
	err     error            // of encoding

	entries []entry
	next    []int // chains the entries of one lane
}

// grouper makes groups out of the buffer. The writer owns it.
type grouper struct {
	buffer    *buffer
	index     *index
	encoders  []*block.Encoder
	nextBlock uint64
	live      bool    // somebody waited for the group that was committed last
	entries   []entry // memory for the next group
	lanes     []*Lane
}

// take makes a group of what waits in the buffer; nil when nothing does. Its
// blocks are there when encoded is closed: on return, or if beside, later. The
// groups taken before must be encoded.
func (g *grouper) take(beside bool) *group {
	size := int64(0)
	gr := &group{encoded: make(chan struct{})}
	g.lanes = g.lanes[:0]
	gr.entries = g.buffer.take(g.entries[:0], maxGroupRecords, func(e *entry) bool {
		ln, at := e.lane, len(gr.next)
		size += e.cost()
		if ln.chainHead < 0 {
			size += laneCost
		}
		if size > maxGroup && at > 0 {
			return false
		}
		gr.next = append(gr.next, -1)
		if ln.chainHead < 0 {
			ln.chainHead = at
			g.lanes = append(g.lanes, ln)
		} else {
			gr.next[ln.chainTail] = at
		}
		ln.chainTail = at
		return true
	})
	entries := gr.entries
	if len(entries) == 0 {
		return nil
	}
	gr.at = entries[0].at
	g.index.assign(g.lanes)
	for _, ln := range g.lanes {
		p := part{lane: ln, first: ln.given + 1}
		for i := ln.chainHead; i >= 0; i = gr.next[i] {
			ln.given++
			entries[i].order = ln.given
			p.bytes += int64(len(entries[i].data))
		}
		p.last = ln.given
		gr.parts = append(gr.parts, p)
	}
	g.entries = nil
	g.split(gr)
	if beside {
		go g.encode(gr)
	} else {
		g.encode(gr)
	}
	return gr
}

// split decides which parts share a block, and numbers the blocks.
func (g *grouper) split(gr *group) {
	var total int64
	for i := range gr.parts {
		total += gr.parts[i].bytes
	}
	gr.fast = g.live && total >= fastFrom
	limit := int64(blockMax)
	if total >= apart {
		limit = min(limit, total/2)
	}
	var size int64
	for i := range gr.parts {
		size += gr.parts[i].bytes
		if size >= limit || i == len(gr.parts)-1 {
			gr.blocks = append(gr.blocks, segment.Block{Number: g.nextBlock})
			gr.upto = append(gr.upto, i+1)
			g.nextBlock++
			size = 0
		}
	}
	gr.records = make([][]queue.Record, len(gr.blocks))
}

// encode makes the group's blocks, by several goroutines when there are several.
func (g *grouper) encode(gr *group) {
	defer close(gr.encoded)
	errs := make([]error, len(gr.blocks))
	var next atomic.Int64
	work := func(e *block.Encoder) {
		for i := next.Add(1) - 1; i < int64(len(gr.blocks)); i = next.Add(1) - 1 {
			errs[i] = g.encodeBlock(gr, e, int(i))
		}
	}
	var others sync.WaitGroup
	for _, e := range g.encoders[1:min(len(g.encoders), len(gr.blocks))] {
		others.Go(func() { work(e) })
	}
	work(g.encoders[0])
	others.Wait()
	gr.err = errors.Join(errs...)
	for i := range gr.parts {
		gr.parts[i].lane.chainHead = -1
	}
	if n := len(gr.entries); n < 256 && cap(gr.entries) > 1024 {
		for _, e := range g.encoders { // the flood is over
			e.Shrink()
		}
	} else {
		clear(gr.entries)
		g.entries = gr.entries[:0]
	}
	gr.entries, gr.next = nil, nil
}

func (g *grouper) encodeBlock(gr *group, e *block.Encoder, i int) (err error) {
	from := 0
	if i > 0 {
		from = gr.upto[i-1]
	}
	parts := gr.parts[from:gr.upto[i]]
	e.Begin(gr.fast)
	n := 0
	for k := range parts {
		n += int(parts[k].last - parts[k].first + 1)
	}
	recs := make([]queue.Record, 0, n)
	incarnation := g.index.incarnation
	for k := range parts {
		p := &parts[k]
		e.Lane(p.lane.id, p.lane.name, p.first)
		for at := p.lane.chainHead; at >= 0; at = gr.next[at] {
			rec := &gr.entries[at]
			e.Add(rec.class, rec.data)
			recs = append(recs, queue.Record{Position: queue.At(incarnation, rec.order), Class: rec.class, Data: rec.data})
		}
	}
	gr.records[i] = recs
	gr.blocks[i].Value, err = e.End(gr.blocks[i].Number, incarnation, gr.at)
	return err
}

// prepare makes the encoders that are missing.
func (g *grouper) prepare(keys *seal.Keyring) error {
	for len(g.encoders) < min(maxEncoders, runtime.GOMAXPROCS(0)) {
		e, err := block.NewEncoder(keys)
		if err != nil {
			return err
		}
		g.encoders = append(g.encoders, e)
	}
	return nil
}

// cacheIn puts the records of the group, which is committed in a segment, into
// the cache, as far as somebody waits for them, and reports whether anybody does.
func (gr *group) cacheIn(c *cache, seg uint64) (live bool) {
	from := 0
	for i, recs := range gr.records {
		lanes := make(map[uint32][]queue.Record, gr.upto[i]-from)
		wanted, bytes := 0, int64(0)
		for ; from < gr.upto[i]; from++ {
			p := &gr.parts[from]
			n := p.last - p.first + 1
			lanes[p.lane.id] = recs[:n:n]
			recs = recs[n:]
			bytes += p.bytes + int64(n)*entryOverhead
			if p.wanted {
				wanted++
			}
		}
		if wanted > 0 {
			live = true
			c.add(blockID{seg, gr.blocks[i].Number}, cached{lanes: lanes, left: wanted, bytes: bytes, at: gr.at})
		}
	}
	return live
}
