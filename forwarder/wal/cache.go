package wal

import (
	"container/list"
	"sync"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// cacheBytes bounds the records that the cache keeps.
const cacheBytes = 12 << 20

// cache has the records of blocks that readers are about to want: those that
// were committed a moment ago, so that live traffic is delivered without the
// disk and without decompression; and those of blocks that hold several lanes
// and were read for one of them, so that the other lanes need not decompress
// them again. A block goes when all its lanes have read it, or when there is no
// room, the oldest first.
type cache struct {
	mu     sync.Mutex
	blocks map[blockID]*list.Element
	order  list.List // of *cached, the oldest first
	bytes  int64
}

type blockID struct {
	segment, number uint64
}

// cached are the records of a block, by lane.
type cached struct {
	id    blockID
	lanes map[uint32][]queue.Record
	left  int // lanes that are expected to read it to its end
	bytes int64
	at    int64 // Unix ms at which the first record was appended
}

// add puts a block in.
func (c *cache) add(id blockID, b cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blocks == nil {
		c.blocks = make(map[blockID]*list.Element)
	}
	if c.blocks[id] != nil {
		return
	}
	b.id = id
	c.blocks[id] = c.order.PushBack(&b)
	c.bytes += b.bytes
	for c.bytes > cacheBytes {
		c.dropLocked(c.order.Front())
	}
}

func (c *cache) dropLocked(e *list.Element) {
	b := c.order.Remove(e).(*cached)
	c.bytes -= b.bytes
	delete(c.blocks, b.id)
}

// get returns the records that a block has of a lane, and when the first of the
// block was appended; found is false when the block is not here.
func (c *cache) get(id blockID, lane uint32) (recs []queue.Record, at int64, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.blocks[id]
	if e == nil {
		return nil, 0, false
	}
	b := e.Value.(*cached)
	return b.lanes[lane], b.at, true
}

// done says that a lane has read a block to its end.
func (c *cache) done(id blockID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.blocks[id]; e != nil {
		b := e.Value.(*cached)
		if b.left--; b.left <= 0 {
			c.dropLocked(e)
		}
	}
}

// forget drops all that is cached of a segment.
func (c *cache) forget(segment uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, e := range c.blocks {
		if id.segment == segment {
			c.dropLocked(e)
		}
	}
}
