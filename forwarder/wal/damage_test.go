package wal

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

const (
	damageDirEnv = "INTILERY_DAMAGE_DIR" // makes the test binary a child that serves that directory
	damageEnv    = "INTILERY_DAMAGE"     // "all": every file, every way; else those of one segment
)

const (
	damageLanes   = 2
	damageRecords = 600 // in each lane
	damageStarts  = 3   // how often the process may have to be started
)

// damageRecord is record n of a lane, which says so itself. It hardly compresses.
func damageRecord(lane, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(lane), byte(n), byte(n >> 8)})
	b := make([]byte, 10<<10)
	r.Read(b)
	return append(fmt.Appendf(nil, "%d %d ", lane, n), b...)
}

// damageChild serves the directory: it reads all there is, checks it, appends a
// record, reads that, and says what was read and what is counted as lost.
func damageChild(dir string) {
	fail := func(f string, a ...any) {
		fmt.Printf("error "+f+"\n", a...)
		os.Exit(1)
	}
	l := New(quick(dir))
	l.Start()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		s := l.Stats()
		if s.Condition == queue.OK || s.Condition == queue.Degraded {
			break
		}
		if time.Now().After(deadline) {
			fail("%s: %s", s.Condition, s.Reason)
		}
	}
	read := 0
	serve := func() {
		for lane := range damageLanes {
			ln := l.Lane(crashLane(lane))
			for {
				recs, err := ln.Read(ln.Acknowledged(), 1<<20)
				if err != nil {
					fail("read: %v", err)
				}
				if len(recs) == 0 {
					break
				}
				for _, r := range recs {
					if bytes.HasPrefix(r.Data, []byte("new")) {
						fmt.Println("new")
						continue
					}
					var of, n int
					fmt.Sscan(string(r.Data[:min(len(r.Data), 20)]), &of, &n)
					if of != lane || !bytes.Equal(r.Data, damageRecord(lane, n)) {
						fail("lane %d: record %d is not what it was", lane, n)
					}
					read++
				}
				ln.Acknowledge(recs[len(recs)-1].Position)
			}
		}
	}
	serve()
	if err := l.Lane(crashLane(0)).Append(2, []byte("new")); err != nil {
		fail("append: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		fail("flush: %v", err)
	}
	serve()
	var lost uint64
	for _, n := range l.Stats().Lost {
		lost += n
	}
	fmt.Println("served", read, lost)
	l.Close()
}

// damageTemplates makes two directories with all records: one closed, one as a
// killed process leaves it.
func damageTemplates(t *testing.T) map[string]string {
	dirs := map[string]string{"closed": t.TempDir(), "killed": t.TempDir()}
	o := quick(t.TempDir())
	o.SegmentBytes = 5 << 20
	l := open(t, o)
	for n := range damageRecords {
		for lane := range damageLanes {
			mustAppend(t, l, crashLane(lane), 1, string(damageRecord(lane, n+1)))
		}
		if n%10 == 9 {
			mustFlush(t, l)
		}
	}
	until(t, "the segments that are full are closed", func() bool {
		return len(glob(t, o.Dir, "seg-*.index")) == len(segmentDirs(t, o.Dir))-1
	})
	copyDir(t, o.Dir, dirs["killed"])
	mustClose(t, l)
	copyDir(t, o.Dir, dirs["closed"])
	return dirs
}

// copyDir copies a directory's files; a file that grows or goes meanwhile is as
// a crash would leave it.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-r", "--sparse=always", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
}

var damages = map[string]func(path string, b []byte) error{
	"flip": func(path string, b []byte) error {
		b[used(b)/2] ^= 0x20
		return os.WriteFile(path, b, 0o600)
	},
	"truncate": func(path string, b []byte) error { return os.Truncate(path, int64(used(b)/2)) },
	"zero": func(path string, b []byte) error {
		clear(b)
		return os.WriteFile(path, b, 0o600)
	},
	"remove": func(path string, _ []byte) error { return os.Remove(path) },
}

// used is the length of b without the zeros at its end.
func used(b []byte) int { return len(bytes.TrimRight(b, "\x00")) }

// Every file damaged in every way: the log opens within a few starts, serves
// what is left, takes new records, and what is gone is counted exactly. Of all
// files but the value logs nothing is lost by it.
func TestDamage(t *testing.T) {
	if _, err := exec.LookPath("cp"); err != nil {
		t.Skip("no cp to copy sparse files with")
	}
	all := os.Getenv(damageEnv) == "all"
	for state, template := range damageTemplates(t) {
		files := append(glob(t, template, "seg-*/*"), glob(t, template, "*-*")...)
		for _, file := range files {
			name := strings.TrimPrefix(file, template+"/")
			if fi, err := os.Stat(file); err != nil || fi.IsDir() {
				continue
			}
			if !all && strings.HasPrefix(name, "seg-") && !strings.HasPrefix(name, "seg-2") {
				continue
			}
			for kind, damage := range damages {
				t.Run(state+"/"+name+"/"+kind, func(t *testing.T) {
					dir := t.TempDir()
					copyDir(t, template, dir)
					path := filepath.Join(dir, name)
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					if used(b) == 0 {
						return // there is nothing in it to damage
					}
					if err := damage(path, b); err != nil {
						t.Fatal(err)
					}
					serveDamaged(t, dir, strings.HasSuffix(name, ".vlog"))
				})
			}
		}
	}
}

// serveDamaged has a child serve dir.
func serveDamaged(t *testing.T, dir string, mayLose bool) {
	t.Helper()
	for start := range damageStarts {
		cmd := child(damageDirEnv, dir)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		out, err := cmd.Output()
		text := string(out)
		if i := strings.Index(text, "error "); i >= 0 {
			t.Fatal(text[i:])
		}
		if err != nil {
			t.Logf("start %d: %v: %.200s", start+1, err, errOut.String())
			continue
		}
		var read, lost uint64
		if i := strings.Index(text, "served "); i < 0 || !strings.Contains(text, "new\n") {
			t.Fatalf("the new record was not served: %q", text)
		} else if _, err := fmt.Sscanf(text[i:], "served %d %d", &read, &lost); err != nil {
			t.Fatal(err)
		}
		if read+lost != damageLanes*damageRecords {
			t.Errorf("read %d, lost %d, of %d", read, lost, damageLanes*damageRecords)
		}
		if lost > 0 && !mayLose {
			t.Errorf("lost %d, though no event is in this file", lost)
		}
		if testing.Verbose() {
			t.Logf("read %d, lost %d, %d starts", read, lost, start+1)
		}
		return
	}
	t.Fatalf("does not open in %d starts", damageStarts)
}
