package erasure

import (
	"errors"
	"unicode/utf8"
)

// Names of the files in the data directory.
const (
	tombstoneFile  = "tombstones.jsonl"
	auditFile      = "audit.jsonl"
	olderAuditFile = "audit.1.jsonl"
	keyFile        = "erase.key"
)

// Subject names a visitor by one of its IDs: exactly one is set.
type Subject struct{ UserID, AnonymousID string }

// Kinds of IDs, as they are written to disk.
const (
	byUserID      = "userId"
	byAnonymousID = "anonymousId"
)

// Validate returns an error that says what is wrong with the subject, if
// anything, without the ID.
func (s Subject) Validate() error {
	switch {
	case s.UserID == "" && s.AnonymousID == "":
		return errors.New("no ID given: want a userId or an anonymousId")
	case s.UserID != "" && s.AnonymousID != "":
		return errors.New("two IDs given: want a userId or an anonymousId, one at a time")
	case !utf8.ValidString(s.UserID + s.AnonymousID):
		return errors.New("the ID is not UTF-8")
	}
	return nil
}

// Is reports whether an event with these IDs is about the visitor.
func (s Subject) Is(anonymousID, userID string) bool {
	if s.UserID != "" {
		return userID == s.UserID
	}
	return anonymousID == s.AnonymousID
}

func (s Subject) kindAndID() (kind, id string) {
	if s.UserID != "" {
		return byUserID, s.UserID
	}
	return byAnonymousID, s.AnonymousID
}

// Counts is what an erasure removed.
type Counts struct {
	Memory      int `json:"memory"`       // events that were not yet in the log
	Log         int `json:"log"`          // events in the log that will not be sent
	DeadLetters int `json:"dead_letters"` // dead letters
	// Quarantined is the number of segments in quarantine, which are not looked
	// into. They are never sent.
	Quarantined int `json:"quarantined"`
}
