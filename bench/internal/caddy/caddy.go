//go:build linux

// Package caddy runs Caddy processes on loopback and ends them by their process
// IDs. It needs a binary that has the module, also where it is not used.
package caddy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/intilery/caddy-intilery/internal/freeport"
)

// Options say what to start.
type Options struct {
	Binary string
	Dir    string // for everything that this Caddy keeps
	Name   string // of it, in errors and as a folder in Dir
	// Upstream is the host:port behind reverse_proxy, and Site, if it is not empty,
	// what is in the site block in place of that and of the directive.
	Upstream, Site string
	// Receiver is the host:port that events go to. Empty leaves the module out.
	Receiver string
	// DataDir is the module's data_dir. Default: a folder of its own.
	DataDir string
	// Brokers make this Caddy a node of a fleet.
	Brokers []string
	// MaxSize is the module's max_size in bytes. Default: the module's own.
	MaxSize int64
	// Core, unless negative, is the only CPU core that it may use.
	Core int
}

// Process is one running Caddy.
type Process struct {
	Name     string
	Tracks   bool          // it has the module in use
	Site     string        // host:port
	Started  time.Time     // just before the process was
	Answered time.Duration // from then until the site took a connection
	admin    string        // host:port
	cmd      *exec.Cmd
	log      string // file
}

// config is the same site with and without the module.
func config(c *Process, o Options, dir string) string {
	global, site := "", o.Site
	if site == "" {
		site = fmt.Sprintf("\treverse_proxy %s\n", o.Upstream)
	}
	if o.Receiver != "" {
		options := ""
		if o.MaxSize != 0 {
			options = fmt.Sprintf("\t\tmax_size %d\n", o.MaxSize)
		}
		if len(o.Brokers) > 0 {
			options += fmt.Sprintf("\t\tfleet nats {\n\t\t\tservers %s\n\t\t\tnode bench\n\t\t}\n", strings.Join(o.Brokers, " "))
		}
		global = fmt.Sprintf("\tintilery {\n\t\tclient_id bench\n\t\tauth_token bench\n\t\tendpoint http://%s\n\t\tdata_dir %s\n%s\t}\n",
			o.Receiver, o.DataDir, options)
		if o.Site == "" {
			site = "\tintilery\n" + site
		}
	}
	return fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n\tservers {\n\t\tprotocols h1\n\t\ttrusted_proxies static 127.0.0.0/8\n\t}\n"+
		"\tgrace_period 1s\n\tstorage file_system %s\n%s}\nhttp://%s {\n%s}\n",
		c.admin, filepath.Join(dir, "storage"), global, c.Site, site)
}

// Check returns an error that says what to do when there is no binary.
func Check(binary string) error {
	if info, err := os.Stat(binary); err != nil || info.IsDir() {
		return fmt.Errorf("there is no Caddy at %s: run ./xcaddy.sh build at the top of the repository, or name one by -caddy", binary)
	}
	return nil
}

// Start starts a Caddy and waits until it takes connections. It ends with ctx.
func Start(ctx context.Context, o Options) (*Process, error) {
	binary, err := filepath.Abs(o.Binary)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.Dir, o.Name)
	if o.DataDir == "" {
		o.DataDir = filepath.Join(dir, "intilery")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	site, err1 := freeport.Next()
	admin, err2 := freeport.Next()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c := &Process{Name: o.Name, Tracks: o.Receiver != "", Site: "127.0.0.1:" + site, admin: "127.0.0.1:" + admin, log: filepath.Join(dir, "log")}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(config(c, o, dir)), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.cmd = exec.CommandContext(ctx, binary, "run", "--config", file, "--adapter", "caddyfile")
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGTERM) }
	c.cmd.WaitDelay = 5 * time.Second
	c.Started = time.Now()
	if err := startOn(c.cmd, o.Core); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	for {
		conn, err := net.DialTimeout("tcp", c.Site, time.Second)
		c.Answered = time.Since(c.Started)
		if err == nil {
			return c, conn.Close()
		}
		if c.Answered > 20*time.Second || ctx.Err() != nil {
			out, _ := os.ReadFile(c.log)
			return nil, errors.Join(fmt.Errorf("%s does not listen: %w; its log:\n%s", o.Name, err, out), c.Stop())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// startOn starts cmd, bound to a core unless core is negative. A child takes
// the affinity of the thread that starts it.
func startOn(cmd *exec.Cmd, core int) error {
	if core < 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return err
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return errors.Join(cmd.Start(), unix.SchedSetaffinity(0, &old))
}

// Stop ends this Caddy, and no other, and waits for it.
func (c *Process) Stop() error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	kill := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// PID is the number of the process.
func (c *Process) PID() int { return c.cmd.Process.Pid }

// Complaints returns the lines of the log above INFO, at most n.
func (c *Process) Complaints(n int) []string {
	b, err := os.ReadFile(c.log)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"level":"warn"`) {
			if out = append(out, strings.TrimSpace(line)); len(out) == n {
				break
			}
		}
	}
	return out
}

// Profile saves a CPU profile of the coming seconds.
func (c *Process) Profile(ctx context.Context, d time.Duration, file string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", c.admin, max(int(d.Seconds()), 1))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s", resp.Status)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// Metric returns the value of a line of Caddy's metrics, which begins with name
// and all labels, and whether there is one.
func (c *Process) Metric(ctx context.Context, name string) (float64, bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.admin+"/metrics", nil)
	if err != nil {
		return 0, false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, false, err
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return v, err == nil, err
		}
	}
	return 0, false, nil
}
