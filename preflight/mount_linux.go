package preflight

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mountOf finds the file system of a directory that exists.
func mountOf(dir string) (mount, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return mount{}, err
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mount{}, err
	}
	return findMount(string(table), dir)
}

// findMount looks a path up in a table as proc_pid_mountinfo(5) describes it: the
// longest mount point that it lies below counts, and of equal ones the last.
func findMount(table, path string) (found mount, err error) {
	longest := -1
	for line := range strings.Lines(table) {
		// 36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw
		before, after, ok := strings.Cut(line, " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(kind) < 1 {
			continue
		}
		point := unescape.Replace(f[4])
		if len(point) < longest || path != point && !strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/") {
			continue
		}
		longest = len(point)
		readOnly := slices.Contains(strings.Split(f[5], ","), "ro") || len(kind) > 2 && slices.Contains(strings.Split(kind[2], ","), "ro")
		found = mount{kind: kind[0], readOnly: readOnly}
	}
	if longest < 0 {
		return mount{}, errors.New("its mount point is not listed in /proc/self/mountinfo")
	}
	return found, nil
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
