//go:build linux

// Package measure reads what a process has used from Linux's /proc, and
// condenses samples. It promises no precision beyond the kernel's: CPU time
// comes in ticks of 10 ms, so measure over seconds.
package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc: USER_HZ is 100 on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// CPU returns the user and system time that the process has used so far.
func CPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

// parseStat adds fields 14 and 15. The command's name, field 2, is in
// parentheses and may hold anything, so fields are counted behind its end.
func parseStat(b []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[end+1:]))
	if end < 0 || len(f) < 13 {
		return 0, fmt.Errorf("stat has %d fields behind the name", len(f))
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("user time: %w", err)
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("system time: %w", err)
	}
	return time.Duration(user+system) * tick, nil
}

// Memory is what a process holds in RAM, in bytes.
type Memory struct {
	RSS  int64 // all resident pages
	Anon int64 // of them, those that no file stands behind
	Peak int64 // the greatest RSS so far
}

// RAM returns the memory of the process.
func RAM(pid int) (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, err
	}
	return Memory{RSS: field(b, "VmRSS:") << 10, Anon: field(b, "RssAnon:") << 10, Peak: field(b, "VmHWM:") << 10}, nil
}

// Written returns the bytes that the process has caused to be written to disk:
// whole pages, as they became dirty, the file system's journal not included.
func Written(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	return field(b, "\nwrite_bytes:"), nil
}

// field returns the number behind a name, 0 when there is none.
func field(b []byte, name string) int64 {
	_, rest, _ := bytes.Cut(b, []byte(name))
	f := bytes.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(f[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// LoadAverage returns the machine's load over one minute, as text.
func LoadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
