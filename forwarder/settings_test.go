package forwarder

import (
	"bytes"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// TestFleetSettings: the fleet gets its defaults and the log's age and keys, and the
// caller's options stay as they were.
func TestFleetSettings(t *testing.T) {
	given := fleet.Options{Servers: []string{"localhost:4222"}, Node: "web"}
	s, err := Settings{Fleet: &given, MaxAge: time.Hour, EncryptionKeys: [][]byte{bytes.Repeat([]byte{7}, 32)}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if o := s.Fleet; o.MaxAge != time.Hour || o.Keys == nil || o.Keys != s.keyring || o.Replicas != fleet.DefaultReplicas {
		t.Errorf("the fleet is given %+v", o)
	}
	if given.MaxAge != 0 || given.Keys != nil || given.Replicas != 0 {
		t.Errorf("the caller's options are now %+v", given)
	}
	given.Keep = time.Hour
	if _, err := (Settings{Fleet: &given, MaxAge: time.Hour}).withDefaults(); err == nil {
		t.Error("keep as long as max_age is accepted")
	}
}
