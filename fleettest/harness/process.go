package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ErrEnded is the error of a call to a process that has ended.
var ErrEnded = errors.New("the process has ended")

var errNotReady = errors.New("the process is not ready yet")

// process is a child as its parent sees it. It is started again and again under the
// same name, and its log goes on.
type process struct {
	t      *testing.T
	kind   string
	name   string
	log    string // path of what it writes to its standard error
	config any

	mu  sync.Mutex
	run *run // the present or the last one
}

// run is one life of a process.
type run struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	ready chan struct{}

	sending sync.Mutex // a write to a stopped process may wait
	mu      sync.Mutex
	last    int
	waiting map[int]chan answer
	err     error // of its end
}

func newProcess(t *testing.T, kind, name string) *process {
	p := &process{t: t, kind: kind, name: name, log: filepath.Join(t.TempDir(), name+".log")}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("last log lines of %s:\n%s", name, tail(p.log, 6000))
		}
	})
	return p
}

// Start starts the process and waits until it is ready.
func (p *process) Start() {
	p.t.Helper()
	if err := p.start(30 * time.Second); err != nil {
		p.t.Fatalf("start %s: %v\n%s", p.name, err, tail(p.log, 2000))
	}
}

// start waits until the process is ready, or for no longer than limit.
func (p *process) start(limit time.Duration) error {
	if p.Running() {
		return errors.New("it runs already")
	}
	config, err := json.Marshal(p.config)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	r := &run{cmd: exec.Command(os.Args[0]), ended: make(chan struct{}), ready: make(chan struct{}), waiting: map[int]chan answer{}}
	r.cmd.Env = append(os.Environ(), childEnv+"="+p.kind, configEnv+"="+string(config))
	r.cmd.Stderr = log
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	p.mu.Lock()
	p.run = r
	p.mu.Unlock()
	go r.listen(stdout)
	select {
	case <-r.ready:
		return nil
	case <-r.ended:
		return fmt.Errorf("it has ended: %v", r.err)
	case <-time.After(limit):
		return errors.New("it does not become ready")
	}
}

// listen hands answers to those who wait, until the process has ended.
func (r *run) listen(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var a answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue // something else has printed
		}
		if a.ID == 0 {
			close(r.ready)
			continue
		}
		r.mu.Lock()
		w := r.waiting[a.ID]
		delete(r.waiting, a.ID)
		r.mu.Unlock()
		if w != nil {
			w <- a
		}
	}
	r.err = r.cmd.Wait()
	close(r.ended)
}

// call sends a request and waits for its answer.
func (p *process) call(ctx context.Context, op string, args, result any) error {
	wait, err := p.send(op, args)
	if err != nil {
		return err
	}
	return wait(ctx, result)
}

// send sends a request: requests are begun in the order in which they are sent. It
// may wait while the process is stopped.
func (p *process) send(op string, args any) (wait func(ctx context.Context, result any) error, err error) {
	r := p.current()
	if r == nil {
		return nil, ErrEnded
	}
	select {
	case <-r.ready:
	default:
		return nil, errNotReady // else it would do it late
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	w := make(chan answer, 1)
	r.sending.Lock()
	defer r.sending.Unlock()
	r.mu.Lock()
	r.last++
	id := r.last
	r.waiting[id] = w
	r.mu.Unlock()
	line, err := json.Marshal(request{ID: id, Op: op, Args: raw})
	if err != nil {
		return nil, err
	}
	if _, err := r.stdin.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEnded, err)
	}
	return func(ctx context.Context, result any) error {
		select {
		case a := <-w:
			return a.read(result)
		case <-ctx.Done():
			return ctx.Err()
		case <-r.ended:
		}
		select { // its last words
		case a := <-w:
			return a.read(result)
		default:
			return ErrEnded
		}
	}, nil
}

func (a answer) read(result any) error {
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(a.Result, result)
}

func (p *process) current() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// Running reports whether the process has been started and has not ended.
func (p *process) Running() bool {
	r := p.current()
	if r == nil {
		return false
	}
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// Stop ends the process with SIGTERM, waits for its end, and returns how long that took.
func (p *process) Stop() time.Duration {
	p.t.Helper()
	r, begin := p.current(), time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-r.ended:
		if r.err != nil {
			p.t.Errorf("%s ended with %v", p.name, r.err)
		}
	case <-time.After(30 * time.Second):
		p.t.Errorf("%s does not end on SIGTERM", p.name)
		p.Kill()
	}
	return time.Since(begin)
}

// Kill ends the process with SIGKILL, when it runs, and waits for its end.
func (p *process) Kill() {
	if r := p.current(); r != nil {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.ended
		_ = r.stdin.Close()
	}
}

// Freeze stops the process as it is, Thaw lets it go on.
func (p *process) Freeze() { p.t.Helper(); p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *process) Thaw() { p.t.Helper(); p.signal(syscall.SIGCONT) }

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	r := p.current()
	if r == nil {
		p.t.Fatalf("%s was never started", p.name)
	}
	if err := r.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%v to %s: %v", s, p.name, err)
	}
}

// Log returns the end of what the process has logged.
func (p *process) Log() string { return tail(p.log, 1<<20) }

// tail returns the last bytes of a file.
func tail(path string, n int64) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	return string(b)
}
