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
)

const (
	damageDirEnv = "INTILERY_DAMAGE_DIR" // makes the test binary a child that serves that directory
	damageEnv    = "INTILERY_DAMAGE"     // "all": every file, every way; else those that hold records
)

const (
	damageLanes   = 2
	damageRecords = 600 // in each lane
	damageStarts  = 4   // how often the process may have to be started
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
		if s.Condition == OK || s.Condition == Degraded {
			break
		}
		if time.Now().After(deadline) {
			fail("%s: %s", s.Condition, s.Reason)
		}
	}
	read := 0
	serve := func() {
		for lane := range damageLanes {
			name := crashLane(lane)
			for {
				recs, err := l.Read(name, l.Acked(name), 1<<20)
				if err != nil {
					// A generation that breaks under the reader is moved aside.
					time.Sleep(10 * time.Millisecond)
					continue
				}
				if len(recs) == 0 {
					break
				}
				for _, r := range recs {
					if bytes.HasPrefix(r.Data, []byte("new")) {
						fmt.Println("new")
						continue
					}
					if !bytes.Equal(r.Data, damageRecord(lane, int(r.Seq))) {
						fail("lane %d: record %d is not what it was", lane, r.Seq)
					}
					read++
				}
				l.Ack(name, recs[len(recs)-1].Seq)
			}
		}
	}
	serve()
	if err := l.Append(crashLane(0), 2, []byte("new")); err != nil {
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
	o.GenerationBytes = 6 << 20
	l := open(t, o)
	for n := range damageRecords {
		for lane := range damageLanes {
			mustAppend(t, l, crashLane(lane), 1, string(damageRecord(lane, n+1)))
		}
		if n%10 == 9 {
			mustFlush(t, l)
		}
	}
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
// what is left, takes new records, and what is gone is counted exactly.
func TestDamage(t *testing.T) {
	if _, err := exec.LookPath("cp"); err != nil {
		t.Skip("no cp to copy sparse files with")
	}
	all := os.Getenv(damageEnv) == "all"
	for state, template := range damageTemplates(t) {
		files, err := filepath.Glob(filepath.Join(template, "gen-*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range append(files, filepath.Join(template, "ledger")) {
			name := strings.TrimPrefix(file, template+"/")
			holds := strings.HasSuffix(name, ".mem") || strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, "MANIFEST")
			if !all && !(holds && strings.HasPrefix(name, "gen-2/")) {
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
					serveDamaged(t, dir)
				})
			}
		}
	}
}

func serveDamaged(t *testing.T, dir string) {
	t.Helper()
	var out []byte
	for start := range damageStarts {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), damageDirEnv+"="+dir)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		var err error
		out, err = cmd.Output()
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
		if testing.Verbose() {
			t.Logf("read %d, lost %d, %d starts", read, lost, start+1)
		}
		return
	}
	t.Fatalf("does not open in %d starts", damageStarts)
}
