package cookie

import (
	"errors"
	"unicode/utf8"
)

// MaxUserIDLen is the longest userId that a keeper holds, in bytes.
const MaxUserIDLen = 256

var (
	// ErrUserIDTooLong says that a userId has more than MaxUserIDLen bytes.
	ErrUserIDTooLong = errors.New("cookie: user ID too long: use at most 256 bytes")
	// ErrUserIDMalformed says that a userId is empty, is not UTF-8 or has
	// control characters.
	ErrUserIDMalformed = errors.New("cookie: user ID malformed: use UTF-8 text without control characters")
)

// ValidUserID checks a userId that an app sent: nil, ErrUserIDTooLong or
// ErrUserIDMalformed. Decide disregards an identify with a userId that fails
// it.
func ValidUserID(id string) error {
	switch {
	case len(id) > MaxUserIDLen:
		return ErrUserIDTooLong
	case id == "" || !utf8.ValidString(id):
		return ErrUserIDMalformed
	}
	for _, c := range id {
		if c < 0x20 || 0x7f <= c && c < 0xa0 {
			return ErrUserIDMalformed
		}
	}
	return nil
}
