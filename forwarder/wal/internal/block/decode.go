package block

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// Decoder opens blocks. It may be used by several goroutines.
type Decoder struct {
	keys *seal.Keyring
	once sync.Once
	zstd *zstd.Decoder
	err  error
}

// NewDecoder returns a decoder of blocks that are in the clear or encrypted with
// one of keys, which may be nil.
func NewDecoder(keys *seal.Keyring) *Decoder { return &Decoder{keys: keys} }

func (d *Decoder) decompressor() (*zstd.Decoder, error) {
	d.once.Do(func() {
		d.zstd, d.err = zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(MaxRaw),
			zstd.WithDecodeAllCapLimit(true))
	})
	return d.zstd, d.err
}

// Close gives the decoder's memory back; it must not be used any more.
func (d *Decoder) Close() {
	d.once.Do(func() { d.err = queue.ErrClosed })
	if d.zstd != nil {
		d.zstd.Close()
	}
}

// Opens reports whether the decoder has the key of the block v, whose header is h.
func (d *Decoder) Opens(h *Header, v []byte) bool {
	return !h.sealed || d.keys.Has(v[headerSize+h.table:])
}

// Records returns the records of the block v, whose header is h, by the places
// of their lanes in the table. They are in new memory, which is shared. Any bytes
// may be given; no more than MaxRaw bytes are made of them. Errors: ErrDamaged,
// seal.ErrKey.
func (d *Decoder) Records(h *Header, v []byte) ([][]queue.Record, error) {
	stored := v[headerSize+h.table:]
	if h.sealed {
		var err error
		if stored, err = d.keys.Open(nil, stored, context(v, h.table)); errors.Is(err, seal.ErrDamaged) {
			return nil, ErrDamaged
		} else if err != nil {
			return nil, err
		}
	}
	frames := make([]byte, 0, h.raw)
	switch h.codec {
	case codecZstd:
		dec, err := d.decompressor()
		if err != nil {
			return nil, err
		}
		if frames, err = dec.DecodeAll(stored, frames); err != nil {
			return nil, ErrDamaged
		}
	case codecS2:
		n, err := s2.DecodedLen(stored)
		if err != nil || n != int(h.raw) {
			return nil, ErrDamaged
		}
		if frames, err = s2.Decode(frames[:n], stored); err != nil {
			return nil, ErrDamaged
		}
	default:
		frames = append(frames, stored...)
	}
	if len(frames) != int(h.raw) {
		return nil, ErrDamaged
	}
	return split(h, frames)
}

// split cuts the frames into records.
func split(h *Header, frames []byte) ([][]queue.Record, error) {
	var total uint64
	for i := range h.Lanes {
		total += h.Lanes[i].Count
	}
	all := make([]queue.Record, 0, total)
	out := make([][]queue.Record, len(h.Lanes))
	for i := range h.Lanes {
		l := &h.Lanes[i]
		var counts [queue.Classes]uint32
		rest, start := frames[:l.raw], len(all)
		frames = frames[l.raw:]
		for len(rest) > 0 {
			n, size := binary.Uvarint(rest[1:])
			if size <= 0 || n > uint64(len(rest)-1-size) || rest[0] >= queue.Classes || uint64(len(all)-start) == l.Count {
				return nil, ErrDamaged
			}
			class, end := queue.Class(rest[0]), 1+size+int(n)
			counts[class]++
			all = append(all, queue.Record{
				Position: queue.At(h.Incarnation, l.First+uint64(len(all)-start)),
				Class:    class, Data: rest[1+size : end : end],
			})
			rest = rest[end:]
		}
		if counts != l.counts {
			return nil, ErrDamaged
		}
		out[i] = all[start:len(all):len(all)]
	}
	return out, nil
}
