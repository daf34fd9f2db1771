//go:build linux

package main

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
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// caddy is one running Caddy.
type caddy struct {
	name  string // in the report: with, without
	site  string // host:port
	admin string // host:port
	cmd   *exec.Cmd
	log   string // file
}

// config is the same site with and without the module.
func config(c *caddy, dir, upstream, receiver string, module bool) string {
	global, directive := "", ""
	if module {
		global = fmt.Sprintf("\tintilery {\n\t\tclient_id bench\n\t\tauth_token bench\n\t\tendpoint http://%s\n\t\tdata_dir %s\n\t}\n",
			receiver, filepath.Join(dir, "intilery"))
		directive = "\tintilery\n"
	}
	return fmt.Sprintf("{\n\tadmin %s\n\tauto_https off\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n\tservers {\n\t\tprotocols h1\n\t}\n\tgrace_period 1s\n"+
		"\tstorage file_system %s\n%s}\nhttp://%s {\n%s\treverse_proxy %s\n}\n",
		c.admin, filepath.Join(dir, "storage"), global, c.site, directive, upstream)
}

// startCaddy starts a Caddy and waits until it answers. It ends with ctx.
// Core, unless negative, is the only CPU core that it may use.
func startCaddy(ctx context.Context, binary, dir, name, upstream, receiver string, core int) (*caddy, error) {
	dir = filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	c := &caddy{name: name, site: ports[0], admin: ports[1], log: filepath.Join(dir, "log")}
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(config(c, dir, upstream, receiver, name == with)), 0o600); err != nil {
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
	if err := startOn(c.cmd, core); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", c.site, time.Second)
		if err == nil {
			return c, conn.Close()
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			out, _ := os.ReadFile(c.log)
			return nil, errors.Join(fmt.Errorf("%s does not listen: %w; its log:\n%s", name, err, out), c.stop())
		}
		time.Sleep(50 * time.Millisecond)
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

// stop ends this Caddy, and no other, and waits for it.
func (c *caddy) stop() error {
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

func (c *caddy) pid() int { return c.cmd.Process.Pid }

// complaints returns the lines of the log above INFO, at most n.
func (c *caddy) complaints(n int) []string {
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

// profile saves a CPU profile of the coming seconds.
func (c *caddy) profile(ctx context.Context, d time.Duration, file string) error {
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

// freePorts returns loopback addresses that nobody listens on at the moment.
func freePorts(n int) (out []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
