package caddymodule

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What came to the endpoint and the relay is in the status, whatever became of it.
func TestStatusOfCollectedEvents(t *testing.T) {
	r := newAdminRig(t, "")
	site := "intilery {\ncollect /in {\nkey public\n}\n}\nintilery_relay\nrespond page"
	r.load(strings.Replace(r.global(r.lines), "admin off", "admin "+r.addr, 1), site)
	before := r.status().Collected
	if len(before.Events)+len(before.Refused) != 0 {
		t.Errorf("before anything came: %+v", before)
	}
	r.post("/in/t", `{"writeKey":"public","event":"A","userId":"u","messageId":"m1"}`)
	r.post("/in/t", `{"writeKey":"public","event":"A","userId":"u","messageId":"m1"}`)
	r.post("/in/b", `{"writeKey":"public","batch":[{"type":"group"},{"type":"track","userId":"u"}]}`)
	r.post("/in/t", `{"writeKey":"other"}`)
	r.post("/track/acme/acme/ACME/v1/track", `{"event":"B","userId":"u"}`, header("Auth-Token", "wrong"))
	want := collectedStatus{
		Events:  map[string]uint64{"taken": 1, "repeat": 1, "unsupported": 1, "missing_name": 1},
		Refused: map[string]uint64{"unknown_key": 2},
	}
	if diff := cmp.Diff(want, r.status().Collected); diff != "" {
		t.Error(diff)
	}
	r.runs("collected      1 missing_name, 1 repeat, 1 taken, 1 unsupported", "status")
	r.runs("refused        2 unknown_key", "status")
}
