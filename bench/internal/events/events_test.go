package events

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestMake(t *testing.T) {
	all, err := Make(5000)
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for i, b := range all {
		var e struct{ MessageID, AnonymousID string }
		if err := json.Unmarshal(b, &e); err != nil || e.MessageID == "" || e.AnonymousID == "" {
			t.Fatalf("event %d: %v: %s", i, err, b)
		}
		ids[e.MessageID] = true
	}
	if len(ids) != len(all) {
		t.Errorf("%d different message IDs in %d events", len(ids), len(all))
	}
	again, err := Make(10)
	if err != nil || !bytes.Equal(again[9], all[9]) {
		t.Errorf("a second Make differs: %v", err)
	}
}
