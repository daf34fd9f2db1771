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
	"testing"
	"time"
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

func crashOptions(dir string) Options {
	o := quick(dir)
	o.GenerationBytes = 256 << 10
	return o
}

// crashChild appends as fast as it can, reads and acknowledges now and then,
// and prints how far each flush has come, until it is killed. Record n of a
// lane has sequence n.
func crashChild(dir string) {
	o := crashOptions(dir)
	if n, err := strconv.Atoi(os.Getenv(crashSyncEnv)); err == nil {
		o.Sync, o.SyncEvery = SyncPolicy(n), 100*time.Millisecond
	}
	l := New(o)
	l.Start()
	for c := Opening; c != OK; c = l.Stats().Condition {
		time.Sleep(time.Millisecond)
	}
	next := make([]uint64, crashLanes)
	for i := range next {
		next[i] = l.Stats().Lanes[crashLane(i)].Committed
	}
	pad := strings.Repeat("abcdefghij", 50)
	for {
		for range 50 {
			i := rand.IntN(crashLanes)
			next[i]++
			if err := l.Append(crashLane(i), 2, fmt.Appendf(nil, "%d %d %s", next[i], rand.Uint64(), pad)); err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
		}
		if err := l.Flush(context.Background()); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("flushed", next[0], next[1], next[2], next[3])
		lane := crashLane(rand.IntN(crashLanes))
		recs, err := l.Read(lane, l.Acked(lane), 100_000)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		if len(recs) > 0 {
			l.Ack(lane, recs[len(recs)-1].Seq)
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
			if l.Append(paceLane, 1, fmt.Appendf(nil, "%d %s", now.UnixMicro(), evs[i%len(evs)])) != nil {
				os.Exit(1)
			}
		}
	}
}

func crashLane(i int) string { return "d/" + strconv.Itoa(i) }

// What Flush has confirmed is there after kill -9, in order, at random points
// of opening, committing, rotating and removing.
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
	flushed := make([]uint64, crashLanes)
	total := 0
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDirEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(rand.IntN(500))*time.Millisecond, func() { cmd.Process.Kill() })
		total += readFlushed(t, out, flushed)
		kill.Stop()
		cmd.Wait() // it was killed: the error says so
		if t.Failed() {
			return
		}
		verifyCrashed(t, dir, flushed)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	if total == 0 {
		t.Error("no child came as far as a flush")
	}
}

func readFlushed(t *testing.T, out io.Reader, flushed []uint64) (lines int) {
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		var n [crashLanes]uint64
		if _, err := fmt.Sscanf(sc.Text(), "flushed %d %d %d %d", &n[0], &n[1], &n[2], &n[3]); err != nil {
			if strings.HasPrefix(sc.Text(), "error") && !strings.Contains(sc.Text(), "input/output error") {
				t.Error(sc.Text())
			}
			continue // a line cut short
		}
		copy(flushed, n[:])
		lines++
	}
	return lines
}

func verifyCrashed(t *testing.T, dir string, flushed []uint64) {
	l := New(crashOptions(dir))
	l.Start()
	defer mustClose(t, l)
	waitOpen(t, l)
	for i := range crashLanes {
		last := l.Acked(crashLane(i))
		for _, r := range drain(t, l, crashLane(i), last) {
			last++
			if r.Seq != last || !strings.HasPrefix(string(r.Data), fmt.Sprintf("%d ", last)) {
				t.Errorf("lane %d: record %d holds %.10q, want %d", i, r.Seq, r.Data, last)
				return
			}
		}
		if last < flushed[i] {
			t.Errorf("lane %d ends at %d; %d was flushed", i, last, flushed[i])
		}
	}
	if s := l.Stats(); s.Condition != OK || len(s.Lost) != 0 {
		t.Errorf("%s (%s), lost %v", s.Condition, s.Reason, s.Lost)
	}
}

// holdChild opens the log, says so, and closes it when its input ends.
func holdChild(dir string) {
	l := New(quick(dir))
	l.Start()
	for c := Opening; c != OK; c = l.Stats().Condition {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	l.Close()
}

// Two processes on one directory: the second holds its records until the first ends.
func TestLockHeldByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdDirEnv+"="+dir)
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
	mustAppend(t, l, "a", 1, "held")
	until(t, "the lock is noticed", func() bool { return strings.Contains(l.Stats().Reason, "another process") })
	if s := l.Stats(); s.Condition != Opening || s.Committed != 0 || s.RingBytes == 0 {
		t.Errorf("while locked out: %+v", s)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	mustFlush(t, l)
	if recs := drain(t, l, "a", 0); len(recs) != 1 || string(recs[0].Data) != "held" {
		t.Errorf("read %v", recs)
	}
}
