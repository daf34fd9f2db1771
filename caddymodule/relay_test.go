package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The relay answers as the Tracking API does, also where there is nothing to take,
// and passes on what is not the API's.
func TestRelay(t *testing.T) {
	r := newRig(t)
	r.serve("intilery_relay\nreverse_proxy " + newServer(t, http.HandlerFunc(echoing)))
	post := func(action, body, token string) (status int, success bool, id, message string) {
		resp := r.do(http.MethodPost, "/track/acme/acme/ACME/v1/"+action, strings.NewReader(body), device, header("Auth-Token", token))
		var answer struct {
			Success          bool
			EventID, Message string
		}
		if err := json.Unmarshal([]byte(bodyText(t, resp)), &answer); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		return resp.StatusCode, answer.Success, answer.EventID, answer.Message
	}
	unsupported := counter(t, siteMetrics.collected.WithLabelValues("srv0", "unsupported"))
	for _, test := range []struct {
		action, body, token string
		status              int
		id, message         string // id "*" is any
	}{
		{"track", `{"event":"A","userId":"u","messageId":"m1"}`, testToken, 200, "m1", ""},
		{"batch", `{"batch":[{"event":"B","userId":"u","messageId":"m2"},{"event":"C"}]}`, testToken, 200, "m2", ""},
		{"batch", `{"batch":[]}`, testToken, 200, "*", ""},
		{"track", `{"type":"alias","userId":"u"}`, testToken, 200, "*", ""},
		{"track", `{"event":"A"}`, testToken, 400, "", "userId must not be empty"},
		{"batch", `{"batch":[{"event":"A"}]}`, testToken, 400, "", "userId must not be empty"},
		{"track", `{"event":"A","userId":"u"}`, "wrong", 403, "", "auth-token is not authorised for this account and brand"},
	} {
		status, success, id, message := post(test.action, test.body, test.token)
		if test.id == "*" && id != "" {
			id = "*"
		}
		if status != test.status || success != (test.status == 200) || id != test.id || message != test.message {
			t.Errorf("%s: %d %v %q %q", test.body, status, success, id, message)
		}
	}
	if n := counter(t, siteMetrics.collected.WithLabelValues("srv0", "unsupported")) - unsupported; n != 1 {
		t.Errorf("%v unsupported, want 1", n)
	}
	if got := summary(r.calls(2)); got != "track:A track:B" {
		t.Errorf("arrived %s", got)
	}
	if got := bodyText(t, r.get("/other")); got != "page" {
		t.Errorf("another path: %q", got)
	}
}

// A token that was replaced in its file is not accepted for long, and the new one at
// once, or nearly so.
func TestRelayToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		value, fails := "old", error(nil)
		read := func() (string, error) { return value, fails }
		k := new(knownToken)
		is := func(token string, want bool) {
			t.Helper()
			if k.is(token, read) != want {
				t.Errorf("%s: %t", token, !want)
			}
		}
		is("old", true)
		value = "new"
		is("old", true)
		time.Sleep(tokenAge)
		is("old", false)
		is("new", true)
		value = "newer"
		time.Sleep(tokenAge / 10)
		is("newer", true)
		is("", false)
		fails = errors.New("file is gone")
		time.Sleep(tokenAge)
		is("newer", true)
	})
}
