package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// A generation keeps the name of each lane it holds, so that it can be read
// without the ledger, under key 0 | lane (0 is not a lane), lane as 8 bytes:
//
//	value   0      4    6     7
//	        +------+----+-----+- - - +-----+
//	        |"IWN1"|lane| len | name | crc |
//	        +------+----+-----+- - - +-----+
//
// Crc is the CRC32C of what comes before it.
const (
	nameMagic    = "IWN1"
	nameOverhead = 4 + 2 + 1 + 4
)

func appendName(v []byte, id uint16, name string) []byte {
	v = append(v, nameMagic...)
	v = binary.BigEndian.AppendUint16(v, id)
	v = append(v, byte(len(name)))
	v = append(v, name...)
	return binary.BigEndian.AppendUint32(v, crc32.Checksum(v, castagnoli))
}

// parseName reads the name at the beginning of v. Any bytes may be given.
func parseName(v []byte) (id uint16, name string, ok bool) {
	if len(v) < nameOverhead || string(v[:4]) != nameMagic {
		return 0, "", false
	}
	end := nameOverhead - 4 + int(v[6])
	if len(v) < end+4 || binary.BigEndian.Uint32(v[end:]) != crc32.Checksum(v[:end], castagnoli) {
		return 0, "", false
	}
	return binary.BigEndian.Uint16(v[4:]), string(v[7:end]), v[6] > 0
}
