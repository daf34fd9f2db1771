package cookie

import (
	"encoding/binary"
	"math"
	"regexp"
	"time"

	"github.com/google/uuid"
)

// keeper is what the sealed cookie remembers. One without an ID remembers a
// consent only.
type keeper struct {
	anonymousID string
	userID      string
	issued      int64 // when the ID was minted or adopted, Unix seconds
	seen        int64 // when both cookies were last written, Unix seconds
	identified  int64 // when the last identify went out, 0 = never
	digest      [16]byte
	consent     Consent // what the app said last
	tagUser     uint64  // digest of the tag's userId when last seen, 0 = none
	deferred    string  // the caller's, until the ID comes back, "" = nothing
	twins       bool    // twins came when both cookies were last written
}

// The plain text of a keeper, integers big endian, times in Unix seconds:
//
//	flags  2   bit 0 ID as UUID, bit 1 ID as text, bit 2 user, bit 3 identify,
//	           bits 4-5 consent, bit 6 tag's user, bit 7 deferred, bit 8 twins
//	issued 4
//	seen   4
//	ID         16 bytes of a UUID in lower case, or its length (1) and its text
//	user       its length less one (1) and its text
//	identify   its digest (16) and its time (4)
//	tag's user 8
//	deferred   its length (2) and its bytes
const (
	flagUUID     = 1 << 0
	flagText     = 1 << 1
	flagUser     = 1 << 2
	flagIdentify = 1 << 3
	consentShift = 4
	consentMask  = 3
	flagTagUser  = 1 << 6
	flagDeferred = 1 << 7
	flagTwins    = 1 << 8
	knownFlags   = 1<<9 - 1

	minPlainLen = 2 + 4 + 4
	maxPlainLen = minPlainLen + 1 + maxIDLen + 1 + MaxUserIDLen + 16 + 4 + 8 + 2 + MaxDeferredLen
)

// age is how long ago both cookies were last written: negative if that was by a
// clock ahead of ours. No clock, however wrong, makes it overflow.
func (k *keeper) age(now int64) time.Duration { return age(k.seen, now) }

func age(at, now int64) time.Duration {
	const limit = int64(math.MaxInt64 / time.Second)
	return time.Duration(min(max(now-at, -limit), limit)) * time.Second
}

// encode writes the keeper's plain text. Its IDs must be valid.
func (k *keeper) encode() []byte {
	b := make([]byte, 2, maxPlainLen-maxIDLen-MaxUserIDLen-MaxDeferredLen+len(k.anonymousID)+len(k.userID)+len(k.deferred))
	flags := uint16(k.consent) << consentShift
	b = appendTime(b, k.issued)
	b = appendTime(b, k.seen)
	if k.anonymousID != "" {
		if id, ok := binaryUUID(k.anonymousID); ok {
			flags |= flagUUID
			b = append(b, id[:]...)
		} else {
			flags |= flagText
			b = append(b, byte(len(k.anonymousID)))
			b = append(b, k.anonymousID...)
		}
	}
	if k.userID != "" {
		flags |= flagUser
		b = appendUser(b, k.userID)
	}
	if k.identified != 0 {
		flags |= flagIdentify
		b = append(b, k.digest[:]...)
		b = appendTime(b, k.identified)
	}
	if k.tagUser != 0 {
		flags |= flagTagUser
		b = binary.BigEndian.AppendUint64(b, k.tagUser)
	}
	if k.deferred != "" {
		flags |= flagDeferred
		b = binary.BigEndian.AppendUint16(b, uint16(len(k.deferred)))
		b = append(b, k.deferred...)
	}
	if k.twins {
		flags |= flagTwins
	}
	binary.BigEndian.PutUint16(b, flags)
	return b
}

// decodeKeeper reads a plain text back. It takes nothing on trust although the
// text was sealed: an earlier configuration may have accepted other IDs.
func decodeKeeper(b []byte, pattern *regexp.Regexp) (k keeper, ok bool) {
	if len(b) < minPlainLen {
		return keeper{}, false
	}
	flags := binary.BigEndian.Uint16(b)
	k.consent = Consent(flags >> consentShift & consentMask)
	k.twins = flags&flagTwins != 0
	if flags&^knownFlags != 0 || flags&flagUUID != 0 && flags&flagText != 0 {
		return keeper{}, false
	}
	k.issued, k.seen = readTime(b[2:]), readTime(b[6:])
	b = b[minPlainLen:]
	if flags&flagUUID != 0 {
		if len(b) < len(uuid.UUID{}) {
			return keeper{}, false
		}
		k.anonymousID, b = uuid.UUID(b[:16]).String(), b[16:]
	}
	if flags&flagText != 0 {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return keeper{}, false
		}
		n := 1 + int(b[0])
		k.anonymousID, b = string(b[1:n]), b[n:]
	}
	if flags&flagUser != 0 {
		if k.userID, b, ok = readUser(b); !ok {
			return keeper{}, false
		}
	}
	if flags&flagIdentify != 0 {
		if len(b) < len(k.digest)+4 {
			return keeper{}, false
		}
		b = b[copy(k.digest[:], b):]
		k.identified, b = readTime(b), b[4:]
	}
	if flags&flagTagUser != 0 {
		if len(b) < 8 {
			return keeper{}, false
		}
		k.tagUser, b = binary.BigEndian.Uint64(b), b[8:]
	}
	if flags&flagDeferred != 0 {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return keeper{}, false
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		k.deferred, b = string(b[2:n]), b[n:]
	}
	if len(b) != 0 ||
		flags&flagIdentify != 0 && k.identified == 0 ||
		flags&flagTagUser != 0 && k.tagUser == 0 ||
		flags&flagDeferred != 0 && (k.deferred == "" || len(k.deferred) > MaxDeferredLen || k.anonymousID == "") ||
		flags&(flagUUID|flagText) != 0 && !validID(k.anonymousID, pattern) {
		return keeper{}, false
	}
	return k, true
}

// binaryUUID returns the bytes of a UUID, if they give the same text back.
func binaryUUID(s string) (uuid.UUID, bool) {
	if !isUUID(s) {
		return uuid.UUID{}, false
	}
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'F' {
			return uuid.UUID{}, false
		}
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// appendUser writes the length of a valid userId less one, and its text.
func appendUser(b []byte, userID string) []byte {
	return append(append(b, byte(len(userID)-1)), userID...)
}

// readUser reads appendUser's bytes. It returns the rest, and false for a userId
// that is not valid.
func readUser(b []byte) (userID string, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 2+int(b[0]) {
		return "", nil, false
	}
	n := 2 + int(b[0])
	userID = string(b[1:n])
	return userID, b[n:], ValidUserID(userID) == nil
}

// appendTime writes a time of 1970 to 2106; others are written as the nearest.
func appendTime(b []byte, t int64) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(min(max(t, 0), math.MaxUint32)))
}

func readTime(b []byte) int64 {
	return int64(binary.BigEndian.Uint32(b))
}
