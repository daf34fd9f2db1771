package reserved

import "errors"

// Reasons for refusing a value. The texts are metric labels and log fields: they
// are stable and never contain any part of a value.
var (
	ErrNotUTF8       = errors.New("not_utf8")
	ErrMalformed     = errors.New("malformed")
	ErrWrongType     = errors.New("wrong_type")
	ErrOversized     = errors.New("oversized")
	ErrTooDeep       = errors.New("too_deep")
	ErrTooMany       = errors.New("too_many")
	ErrDuplicate     = errors.New("duplicate")
	ErrEmpty         = errors.New("empty")
	ErrNotAUser      = errors.New("not_a_user")
	ErrReservedField = errors.New("reserved_field")
	ErrUnknownField  = errors.New("unknown_field")
	ErrUnknownHeader = errors.New("unknown_header")
)
