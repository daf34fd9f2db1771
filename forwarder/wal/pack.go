package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// A pack is one value in Badger: consecutive records of one lane. All numbers
// are big-endian.
//
//	key     0        2                    10
//	        +--------+--------------------+
//	        | lane   | first sequence     |
//	        +--------+--------------------+
//
//	value   0     1     2     4      12     16    20     28    32
//	        +-----+-----+-----+------+------+-----+------+-----+- - - - -+
//	        | ver |codec| lane| first| count| raw | time | crc | stored  |
//	        +-----+-----+-----+------+------+-----+------+-----+- - - - -+
//
//	ver     1
//	codec   how frames are stored: 0 as they are, 1 zstd, 2 S2
//	lane    as in the key
//	first   sequence of the first record, as in the key
//	count   number of records, at least 1
//	raw     size of the frames in bytes, at most 512 KiB
//	time    Unix ms at which the first record was appended
//	crc     CRC32C of the value's bytes 0-27 and of stored
//
//	frame   +-------+---------+- - - - +
//	        | class | length  | record |
//	        +-------+---------+- - - - +
//	        1 byte   uvarint
//
// Lane 0 is not a lane: in its place a generation keeps the name of each lane
// it holds, under key 0 | lane as 8 bytes, so that a generation can be read
// without the ledger.
const (
	packVersion = 1
	headerSize  = 32
	maxPackRaw  = 512 << 10

	codecNone = 0
	codecZstd = 1
	codecS2   = 2
)

// frameMax is the largest size of what a frame adds to its record.
const frameMax = 1 + 3

var (
	errPack    = errors.New("damaged pack")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type header struct {
	codec uint8
	lane  uint16
	first uint64
	count uint32
	raw   uint32
	time  int64
}

func (h *header) last() uint64 { return h.first + uint64(h.count) - 1 }

// packKey is the key of a lane's pack that begins at first.
func packKey(id uint16, first uint64) []byte {
	k := make([]byte, 10)
	binary.BigEndian.PutUint16(k, id)
	binary.BigEndian.PutUint64(k[2:], first)
	return k
}

func parseKey(k []byte) (id uint16, first uint64, ok bool) {
	if len(k) != 10 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint16(k), binary.BigEndian.Uint64(k[2:]), true
}

func appendFrame(dst []byte, class uint8, data []byte) []byte {
	dst = append(dst, class)
	dst = binary.AppendUvarint(dst, uint64(len(data)))
	return append(dst, data...)
}

// packer compresses packs. One goroutine at a time may use it.
type packer struct {
	enc *zstd.Encoder
	buf []byte
}

func newPacker() (*packer, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(128<<10),
		zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("make a compressor: %w", err)
	}
	return &packer{enc: enc}, nil
}

// pack returns the value that stores frames under h, in new memory. Fast takes
// S2: a quarter of zstd's time, for nearly twice the size.
func (p *packer) pack(h header, frames []byte, fast bool) []byte {
	h.raw = uint32(len(frames))
	var v []byte
	if fast {
		h.codec = codecS2
		p.buf = s2.Encode(p.buf[:cap(p.buf)], frames)
		v = append(make([]byte, headerSize, headerSize+len(p.buf)), p.buf...)
	} else {
		h.codec = codecZstd
		p.buf = p.enc.EncodeAll(frames, p.buf[:0])
		v = append(make([]byte, headerSize, headerSize+len(p.buf)), p.buf...)
	}
	if len(v)-headerSize >= len(frames) {
		h.codec = codecNone
		v = append(v[:headerSize], frames...)
	}
	v[0], v[1] = packVersion, h.codec
	binary.BigEndian.PutUint16(v[2:], h.lane)
	binary.BigEndian.PutUint64(v[4:], h.first)
	binary.BigEndian.PutUint32(v[12:], h.count)
	binary.BigEndian.PutUint32(v[16:], h.raw)
	binary.BigEndian.PutUint64(v[20:], uint64(h.time))
	binary.BigEndian.PutUint32(v[28:], packSum(v))
	return v
}

func packSum(v []byte) uint32 {
	return crc32.Update(crc32.Checksum(v[:28], castagnoli), castagnoli, v[headerSize:])
}

// parseHeader checks all of v but the frames. Any bytes may be given.
func parseHeader(v []byte) (header, error) {
	if len(v) < headerSize || v[0] != packVersion || binary.BigEndian.Uint32(v[28:]) != packSum(v) {
		return header{}, errPack
	}
	h := header{
		codec: v[1],
		lane:  binary.BigEndian.Uint16(v[2:]),
		first: binary.BigEndian.Uint64(v[4:]),
		count: binary.BigEndian.Uint32(v[12:]),
		raw:   binary.BigEndian.Uint32(v[16:]),
		time:  int64(binary.BigEndian.Uint64(v[20:])),
	}
	if h.first == 0 || h.count == 0 || h.count > h.raw/2 || h.raw > maxPackRaw || h.last() < h.first {
		return header{}, errPack
	}
	return h, nil
}

// unpacker decompresses packs. It may be used by several goroutines.
type unpacker struct {
	once sync.Once
	dec  *zstd.Decoder
	err  error
}

func (u *unpacker) decoder() (*zstd.Decoder, error) {
	u.once.Do(func() {
		u.dec, u.err = zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxPackRaw),
			zstd.WithDecodeAllCapLimit(true))
	})
	return u.dec, u.err
}

// close gives the decoder's memory back; u must not be used any more.
func (u *unpacker) close() {
	u.once.Do(func() { u.err = ErrClosed })
	if u.dec != nil {
		u.dec.Close()
	}
}

// unpack returns the records of the pack v, whose header is h, in new memory.
// Any bytes may be given; no more than maxPackRaw bytes are ever made of them.
func (u *unpacker) unpack(h header, v []byte) ([]Record, error) {
	frames := make([]byte, 0, h.raw)
	switch h.codec {
	case codecNone:
		frames = append(frames, v[headerSize:]...)
	case codecZstd:
		dec, err := u.decoder()
		if err != nil {
			return nil, err
		}
		if frames, err = dec.DecodeAll(v[headerSize:], frames); err != nil {
			return nil, errPack
		}
	case codecS2:
		n, err := s2.DecodedLen(v[headerSize:])
		if err != nil || n != int(h.raw) {
			return nil, errPack
		}
		if frames, err = s2.Decode(frames[:0:n], v[headerSize:]); err != nil {
			return nil, errPack
		}
	default:
		return nil, errPack
	}
	if len(frames) != int(h.raw) {
		return nil, errPack
	}
	recs := make([]Record, 0, h.count)
	for len(frames) > 0 {
		n, size := binary.Uvarint(frames[1:])
		if size <= 0 || n > uint64(len(frames)-1-size) || frames[0] >= Classes || len(recs) == int(h.count) {
			return nil, errPack
		}
		end := 1 + size + int(n)
		recs = append(recs, Record{Seq: h.first + uint64(len(recs)), Class: frames[0], Data: frames[1+size : end : end]})
		frames = frames[end:]
	}
	if len(recs) != int(h.count) {
		return nil, errPack
	}
	return recs, nil
}
