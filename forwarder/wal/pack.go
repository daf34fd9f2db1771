package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

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
//	value   0      4     5     6    8     16      28   32   36   44   48
//	        +------+-----+-----+----+-----+-------+----+----+----+----+- - - - -+
//	        |"IWP1"|codec|seal |lane|first|counts |raw |size|time|crc | stored  |
//	        +------+-----+-----+----+-----+-------+----+----+----+----+- - - - -+
//
//	codec   how frames are stored: 0 as they are, 1 zstd
//	seal    1 when what is stored is sealed (seal.go) with bytes 0-43 as
//	        context, 0 when it is not
//	lane    as in the key
//	first   sequence of the first record, as in the key
//	counts  number of records of each class, three times 4 bytes; at least 1 in all
//	raw     size of the frames in bytes, at most 512 KiB
//	size    size of stored in bytes
//	time    Unix ms at which the first record was appended
//	crc     CRC32C of the value's bytes 0-43 and of stored
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
	packMagic  = "IWP1"
	headerSize = 48
	sumAt      = 44
	maxPackRaw = 512 << 10

	codecNone = 0
	codecZstd = 1
)

// frameMax is the largest size of what a frame adds to its record.
const frameMax = 1 + 3

var (
	errPack    = errors.New("damaged pack")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type header struct {
	codec  uint8
	sealed bool
	lane   uint16
	first  uint64
	counts [Classes]uint32
	raw    uint32
	size   uint32
	time   int64
}

func (h *header) count() (n uint32) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

func (h *header) last() uint64 { return h.first + uint64(h.count()) - 1 }

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

// packer makes packs. One goroutine at a time may use it.
type packer struct {
	keys   *Keyring
	enc    *zstd.Encoder
	frames []byte // for reuse
	buf    []byte // for reuse, as compressed
}

func newPacker(keys *Keyring) (*packer, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(128<<10),
		zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("make a compressor: %w", err)
	}
	return &packer{keys: keys, enc: enc}, nil
}

// pack returns the value that stores frames under h, in new memory.
func (p *packer) pack(h header, frames []byte) ([]byte, error) {
	h.raw = uint32(len(frames))
	h.codec = codecZstd
	p.buf = p.enc.EncodeAll(frames, p.buf[:0])
	stored := p.buf
	if len(stored) >= len(frames) {
		h.codec, stored = codecNone, frames
	}
	h.size = uint32(len(stored))
	if p.keys != nil {
		h.sealed = true
		h.size += sealOverhead
	}
	v := h.append(make([]byte, 0, headerSize+int(h.size)))
	if h.sealed {
		var err error
		if v, err = p.keys.Seal(v, stored, v[:sumAt]); err != nil {
			return nil, err
		}
	} else {
		v = append(v, stored...)
	}
	binary.BigEndian.PutUint32(v[sumAt:], packSum(v))
	return v, nil
}

// append adds the header, without its checksum.
func (h *header) append(v []byte) []byte {
	v = append(v, packMagic...)
	v = append(v, h.codec, 0)
	if h.sealed {
		v[5] = 1
	}
	v = binary.BigEndian.AppendUint16(v, h.lane)
	v = binary.BigEndian.AppendUint64(v, h.first)
	for _, n := range h.counts {
		v = binary.BigEndian.AppendUint32(v, n)
	}
	v = binary.BigEndian.AppendUint32(v, h.raw)
	v = binary.BigEndian.AppendUint32(v, h.size)
	v = binary.BigEndian.AppendUint64(v, uint64(h.time))
	return binary.BigEndian.AppendUint32(v, 0)
}

func packSum(v []byte) uint32 {
	return crc32.Update(crc32.Checksum(v[:sumAt], castagnoli), castagnoli, v[headerSize:])
}

// readHeader reads a header without its checksum. Any bytes may be given.
func readHeader(v []byte) (header, error) {
	if len(v) < headerSize || string(v[:4]) != packMagic || v[4] > codecZstd || v[5] > 1 {
		return header{}, errPack
	}
	h := header{
		codec:  v[4],
		sealed: v[5] == 1,
		lane:   binary.BigEndian.Uint16(v[6:]),
		first:  binary.BigEndian.Uint64(v[8:]),
		raw:    binary.BigEndian.Uint32(v[28:]),
		size:   binary.BigEndian.Uint32(v[32:]),
		time:   int64(binary.BigEndian.Uint64(v[36:])),
	}
	var count uint64
	for c := range h.counts {
		h.counts[c] = binary.BigEndian.Uint32(v[16+4*c:])
		count += uint64(h.counts[c])
	}
	if h.sealed && h.size < sealOverhead || h.first == 0 || count == 0 || h.raw > maxPackRaw || count > uint64(h.raw/2) || h.size > maxPackRaw+sealOverhead ||
		h.last() < h.first {
		return header{}, errPack
	}
	return h, nil
}

// parseHeader checks all of v but the frames. Any bytes may be given.
func parseHeader(v []byte) (header, error) {
	h, err := readHeader(v)
	if err != nil || int(h.size) != len(v)-headerSize || binary.BigEndian.Uint32(v[sumAt:]) != packSum(v) {
		return header{}, errPack
	}
	return h, nil
}

// unpacker decompresses packs. It may be used by several goroutines.
type unpacker struct {
	keys *Keyring
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
	stored := v[headerSize:]
	if h.sealed {
		var err error
		if stored, err = u.keys.Open(nil, stored, v[:sumAt]); errors.Is(err, ErrSeal) {
			return nil, errPack
		} else if err != nil {
			return nil, err
		}
	}
	frames := make([]byte, 0, h.raw)
	switch h.codec {
	case codecNone:
		frames = append(frames, stored...)
	case codecZstd:
		dec, err := u.decoder()
		if err != nil {
			return nil, err
		}
		if frames, err = dec.DecodeAll(stored, frames); err != nil {
			return nil, errPack
		}
	default:
		return nil, errPack
	}
	if len(frames) != int(h.raw) {
		return nil, errPack
	}
	recs := make([]Record, 0, h.count())
	var counts [Classes]uint32
	for len(frames) > 0 {
		n, size := binary.Uvarint(frames[1:])
		if size <= 0 || n > uint64(len(frames)-1-size) || frames[0] >= Classes {
			return nil, errPack
		}
		counts[frames[0]]++
		end := 1 + size + int(n)
		recs = append(recs, Record{Seq: h.first + uint64(len(recs)), Class: frames[0], Data: frames[1+size : end : end]})
		frames = frames[end:]
	}
	if counts != h.counts {
		return nil, errPack
	}
	return recs, nil
}
