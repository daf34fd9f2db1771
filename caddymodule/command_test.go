package caddymodule

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/intilery/caddy-intilery/sandbox"
)

// run runs `caddy intilery` with arguments.
func run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "intilery", SilenceUsage: true, SilenceErrors: true}
	caddycmd.Commands()["intilery"].CobraFunc(root)
	var out, errs bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.Execute()
	return out.String(), errs.String(), err
}

// runs fails the test when the command fails or does not say what is wanted.
func (r *adminRig) runs(want string, args ...string) string {
	r.t.Helper()
	out, _, err := run(r.t, append(args, "--address", r.addr)...)
	if err != nil || !strings.Contains(out, want) {
		r.t.Errorf("%v: %v\n%s\nwant %q", args, err, out, want)
	}
	return out
}

func TestCommandsAgainstAServer(t *testing.T) {
	r := newAdminRig(t, "")
	r.deadLetters(2)
	out := r.runs("log            ok", "status")
	for _, want := range []string{"queue " + filepath.Join(r.dir, "data"), "waiting        0 events", "dead letters   2", "destination default", "delivery       ok, up to 80 requests/s", "dead-lettered  2"} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
	if out := r.runs(`"queues":[`, "status", "--json"); !json.Valid([]byte(out)) {
		t.Errorf("not JSON: %s", out)
	}
	out = r.runs("2 of 2 dead letters", "dead-letters", "list", "--destination", "default")
	if !strings.Contains(out, "/bad1") || !strings.Contains(out, "rejected: userId must not be empty") || strings.Contains(out, "timestamp") {
		t.Errorf("list:\n%s", out)
	}
	r.runs(`{"timestamp":"`, "dead-letters", "list", "--events", "--limit", "1")
	var list deadLetterList
	if err := json.Unmarshal([]byte(r.runs("", "dead-letters", "list", "--json")), &list); err != nil || len(list.Letters) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	r.runs("1 dead letter will be sent again", "dead-letters", "replay", "--message-id", list.Letters[0].MessageID)
	r.calls(1)
	r.runs("1 dead letter removed", "dead-letters", "purge", "--all")
	r.runs("erased: 0 in memory, 0 in the log, 0 dead letters", "erase", "--user-id", "42")

	r.sandbox.SetFault(sandbox.Fault403)
	r.get("/pending")
	eventually(t, func() bool { return r.status().Destinations["default"].Paused != "" }, func() string { return r.log() })
	r.runs("delivery       paused: misconfigured, since ", "status")
	r.runs("erased: 0 in memory, 1 in the log, 0 dead letters", "erase", "--anonymous-id", r.anonymousID())
	r.sandbox.SetFault(sandbox.FaultNone)

	data := filepath.Join(r.dir, "data")
	segments, err := filepath.Glob(filepath.Join(data, "wal", "seg-*[0-9]"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status", "--address", "localhost:1"}, "no Caddy answers at localhost:1; start it, or give its admin address with --address"},
		{[]string{"erase", "--address", r.addr}, "use one of --user-id and --anonymous-id"},
		{[]string{"erase", "--user-id", "a", "--anonymous-id", "b", "--address", r.addr}, "use one of --user-id and --anonymous-id"},
		{[]string{"erase", "--user-id", "", "--address", r.addr}, "use one of user_id and anonymous_id"},
		{[]string{"dead-letters", "purge", "--address", r.addr}, "or --all"},
		{[]string{"dead-letters", "list", "--limit", "0", "--address", r.addr}, "limit: \\\"0\\\" is not accepted"},
		{[]string{"dead-letters", "list", "--data-dir", data}, "is in use by a running Caddy; stop it first"},
		{[]string{"salvage", filepath.Join(data, "wal")}, "is in use by a running Caddy; stop it first"},
		{[]string{"salvage", data}, "is in use by a running Caddy; stop it first"},
		{[]string{"salvage", segments[0]}, "is in use by a running Caddy; stop it first"},
		{[]string{"status", "extra"}, "unknown command"},
	} {
		if out, _, err := run(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v\n%s\nwant %q", c.args, err, out, c.want)
		}
	}
}

// Offline: what a stopped, encrypted queue holds can be listed and salvaged with
// the key, and not without.
func TestCommandsOffline(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)) + "\n"
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(file, []byte(key), 0o600),
		os.WriteFile(other, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600)); err != nil {
		t.Fatal(err)
	}
	r := newAdminRig(t, "encryption_key {file."+file+"}")
	r.deadLetters(1)
	r.sandbox.SetFault(sandbox.Fault503)
	r.get("/waiting/0")
	r.get("/waiting/1")
	eventually(t, func() bool { return r.status().Log.Pending == 2 }, func() string { return r.log() })
	r.stop()
	data := filepath.Join(r.dir, "data")
	if err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("/waiting/")) || bytes.Contains(text, []byte("/bad0")) {
			t.Errorf("%s holds an event in the open", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	out, _, err := run(t, "dead-letters", "list", "--data-dir", data, "--encryption-key", file)
	if err != nil || !strings.Contains(out, "/bad0") || !strings.Contains(out, "1 of 1 dead letter") {
		t.Errorf("%v\n%s", err, out)
	}
	out, report, err := run(t, "salvage", data, "--encryption-key", file)
	if err != nil {
		t.Errorf("%v\n%s", err, report)
	}
	var found []string
	for line := range strings.Lines(out) {
		var l struct {
			Lane  string
			Event struct{ Event, Type string }
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Event.Type != "track" || !strings.HasPrefix(l.Lane, "default/") {
			t.Errorf("%v: %s", err, line)
		}
		found = append(found, l.Event.Event)
	}
	if !slices.Contains(found, "/waiting/0") || !slices.Contains(found, "/waiting/1") {
		t.Errorf("salvaged %v; %s", found, report)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"dead-letters", "list", "--data-dir", data}, "dead letters are encrypted with a key that is not configured"},
		{[]string{"dead-letters", "list", "--data-dir", data, "--encryption-key", other}, "dead letters are encrypted with a key that is not configured"},
		{[]string{"salvage", data}, "encrypted with a key that was not given: "},
		{[]string{"salvage", data, "--encryption-key", other}, "encrypted with a key that was not given: "},
		{[]string{"salvage", data, "--encryption-key", filepath.Join(data, "audit.jsonl")}, "no such file"},
		{[]string{"salvage", t.TempDir()}, "holds no event that can be read"},
		{[]string{"salvage", filepath.Join(data, "nowhere")}, "no such file"},
		{[]string{"dead-letters", "list", "--data-dir", filepath.Join(data, "nowhere")}, "no such file"},
	} {
		if out, _, err := run(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v\n%s\nwant %q", c.args, err, out, c.want)
		}
	}
}
