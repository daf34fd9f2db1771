package wal

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// Set, these make the test binary a child that works on the directory named.
const (
	crashDirEnv    = "INTILERY_CRASH_DIR"
	paceDirEnv     = "INTILERY_PACE_DIR"
	holdDirEnv     = "INTILERY_HOLD_DIR"
	crashSyncEnv   = "INTILERY_CRASH_SYNC" // the child's sync policy, as a number
	crashRoundsEnv = "INTILERY_CRASH_ROUNDS"
)

const (
	crashLanes = 4
	paceLane   = "default/0"
)

// child runs the test binary as a child that works on a directory.
func child(env, dir string, more ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), env+"="+dir), more...)
	return cmd
}

func childSync(o *Options) {
	if n, err := strconv.Atoi(os.Getenv(crashSyncEnv)); err == nil {
		o.Sync, o.SyncEvery = SyncPolicy(n), 100*time.Millisecond
	}
}

func childOpen(o Options) *Log {
	l := New(o)
	l.Start()
	for c := queue.Opening; c != queue.OK && c != queue.Degraded; c = l.Stats().Condition {
		time.Sleep(time.Millisecond)
	}
	return l
}

func childFails(err error) {
	fmt.Println("error", err)
	os.Exit(1)
}

// crashChild appends as fast as it can, reads and acknowledges now and then, and
// prints how far each lane has been flushed and is about to be acknowledged,
// until it is killed. Records of a lane are numbered; the last is never
// acknowledged, so that the next child can go on.
func crashChild(dir string) {
	o := quick(dir)
	childSync(&o)
	l := childOpen(o)
	next := make([]uint64, crashLanes)
	lanes := make([]*Lane, crashLanes)
	for i := range lanes {
		lanes[i] = l.Lane(crashLane(i))
		p := lanes[i].Acknowledged()
		for {
			recs, err := lanes[i].Read(p, 1<<20)
			if err != nil {
				childFails(err)
			}
			if len(recs) == 0 {
				break
			}
			last := recs[len(recs)-1]
			fmt.Sscan(string(last.Data), &next[i])
			p = last.Position
		}
	}
	pad := strings.Repeat("abcdefghij", 500)
	for round := 0; ; round++ {
		for range 50 {
			i := rand.IntN(crashLanes)
			next[i]++
			if err := lanes[i].Append(2, fmt.Appendf(nil, "%d %d %s", next[i], rand.Uint64(), pad[:rand.IntN(len(pad))])); err != nil {
				childFails(err)
			}
		}
		if err := l.Flush(context.Background()); err != nil {
			childFails(err)
		}
		fmt.Println("flushed", next[0], next[1], next[2], next[3])
		i := rand.IntN(crashLanes)
		recs, err := lanes[i].Read(lanes[i].Acknowledged(), 400_000)
		if err != nil {
			childFails(err)
		}
		if len(recs) > 1 {
			upto := recs[len(recs)-2]
			n, _, _ := strings.Cut(string(upto.Data), " ")
			fmt.Println("acknowledged", i, n)
			lanes[i].Acknowledge(upto.Position)
		}
		if round%20 == 0 {
			rotate(l)
		}
	}
}

// paceChild appends 2,000 events a second, each behind the time at which it
// came, until it is killed. It never flushes: the log's defaults decide.
func paceChild(dir string) {
	o := Options{Dir: dir}
	if n, err := strconv.Atoi(os.Getenv(crashSyncEnv)); err == nil {
		o.Sync = SyncPolicy(n)
	}
	l := New(o)
	l.Start()
	evs := events(1024)
	tick := time.NewTicker(time.Millisecond)
	for i := 0; ; i++ {
		now := <-tick.C
		for range 2 {
			if l.Lane(paceLane).Append(1, fmt.Appendf(nil, "%d %s", now.UnixMicro(), evs[i%len(evs)])) != nil {
				os.Exit(1)
			}
		}
	}
}

func crashLane(i int) string { return "d/" + strconv.Itoa(i) }

// told is what children have said of each lane.
type told struct {
	mu                    sync.Mutex // guards flushed while a child speaks
	flushed, acknowledged [crashLanes]uint64
	lines                 int
}

// confirmed is what Flush has confirmed so far.
func (s *told) confirmed() [crashLanes]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flushed
}

// What Flush has confirmed is there after kill -9, in order, at random points of
// opening, committing, rotating and removing.
func TestKillLosesNothingFlushed(t *testing.T) {
	rounds := 6
	if s := os.Getenv(crashRoundsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		rounds = n
	}
	dir := t.TempDir()
	var said told
	for round := range rounds {
		cmd := child(crashDirEnv, dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(rand.IntN(500))*time.Millisecond, func() { cmd.Process.Kill() })
		said.listen(t, out)
		kill.Stop()
		cmd.Wait() // it was killed: the error says so
		if t.Failed() {
			return
		}
		said.verify(t, dir)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	if said.lines == 0 {
		t.Error("no child came as far as a flush")
	}
}

func (s *told) listen(t *testing.T, out io.Reader) {
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		var n [crashLanes]uint64
		var lane int
		text := sc.Text()
		if _, err := fmt.Sscanf(text, "flushed %d %d %d %d", &n[0], &n[1], &n[2], &n[3]); err == nil {
			s.mu.Lock()
			s.flushed = n
			s.mu.Unlock()
			s.lines++
		} else if _, err := fmt.Sscanf(text, "acknowledged %d %d", &lane, &n[0]); err == nil {
			s.acknowledged[lane] = n[0]
		} else if strings.HasPrefix(text, "error") && !strings.Contains(text, "input/output error") {
			t.Error(text)
		} // else it is a line cut short
	}
}

// verify checks what the directory holds.
func (s *told) verify(t *testing.T, dir string) {
	l := New(quick(dir))
	l.Start()
	defer mustClose(t, l)
	waitOpen(t, l)
	for i := range crashLanes {
		var last uint64
		for _, r := range drain(t, l, crashLane(i), acked(l, crashLane(i))) {
			var n uint64
			fmt.Sscan(string(r.Data), &n)
			switch {
			case last != 0 && n != last+1:
				t.Errorf("lane %d: record %d follows %d", i, n, last)
			case last == 0 && n > s.acknowledged[i]+1:
				t.Errorf("lane %d begins at %d; %d was acknowledged", i, n, s.acknowledged[i])
			}
			last = n
		}
		if last < s.flushed[i] {
			t.Errorf("lane %d ends at %d; %d was flushed", i, last, s.flushed[i])
		}
	}
	if s := l.Stats(); s.Condition != queue.OK {
		t.Errorf("%s: %s", s.Condition, s.Reason)
	}
	wantLost(t, l, nil)
}

// holdChild opens the log, says so, and closes it when its input ends.
func holdChild(dir string) {
	l := childOpen(quick(dir))
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	l.Close()
}

// Two processes on one directory: the second buffers its records until the first ends.
func TestLockHeldByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := child(holdDirEnv, dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	l := open(t, quick(dir))
	mustAppend(t, l, "a", 1, "buffered")
	until(t, "the lock is noticed", func() bool { return strings.Contains(l.Stats().Reason, "another process") })
	if s := l.Stats(); s.Condition != queue.Opening || s.Committed != 0 || s.BufferBytes == 0 {
		t.Errorf("while locked out: %s, committed %d, %d bytes buffered", s.Condition, s.Committed, s.BufferBytes)
	}
	if err := l.Ready(); err == nil {
		t.Error("the log says that it is held")
	}
	if used, err := InUse(dir); !used || err != nil {
		t.Errorf("the directory does not count as in use: %v", err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	mustFlush(t, l)
	wantTexts(t, drain(t, l, "a", 0), "buffered")
	if err := l.Ready(); err != nil {
		t.Error(err)
	}
}
