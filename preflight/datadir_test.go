//go:build unix

package preflight

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// roomy is a system with a good disk that no queue uses.
func roomy() *system {
	return &system{
		free:  func(string) (fsx.Space, error) { return fsx.Space{Bytes: 100 << 30, Files: 1e6}, nil },
		mount: func(string) (mount, error) { return mount{kind: "ext4"}, nil },
		inUse: func(string) (bool, error) { return false, nil },
		quota: func(string, *User) ([]quota, error) { return nil, nil },
	}
}

func lookAt(d DataDir) *Section {
	s := new(Report).Section("data_dir")
	if d.MaxBytes == 0 {
		d.MaxBytes = 1 << 30
	}
	d.Check(s)
	return s
}

func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	for path, mode := range map[string]fs.FileMode{"own": 0o700, "open": 0o755, "inner": 0o700, "theirs": 0o777} {
		if err := os.Mkdir(filepath.Join(dir, path), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, mode := range map[string]fs.FileMode{"public": 0o644, "private": 0o600} {
			if name == "public" && path == "open" {
				continue
			}
			at := filepath.Join(dir, path, name)
			if err := os.WriteFile(at, nil, mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(at, mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := &User{login: "caddy", uid: math.MaxUint32 - 1, groups: []uint32{math.MaxUint32 - 1}}
	for _, tt := range []struct {
		path string
		user *User
		want want
	}{
		{"own", nil, want{OK, topicDir, "writable for user"}},
		{"own", nil, want{OK, "permissions", ""}},
		{"open", nil, want{OK, "permissions", ""}},
		{"theirs", nil, want{Warning, "permissions", filepath.Join(dir, "theirs")}},
		{"new/er", nil, want{OK, topicDir, "it does not exist; Caddy will make it in " + dir}},
		{"file", nil, want{Problem, topicDir, "file is a file"}},
		{"own", other, want{Problem, topicDir, "user caddy may not write here"}},
		{"new", other, want{Problem, topicDir, "it does not exist, and user caddy may not make it"}},
	} {
		tt.want.check(t, lookAt(DataDir{Path: filepath.Join(dir, tt.path), User: tt.user, system: roomy()}))
	}
}

// A mode is read as the system reads it, and above a directory too.
func TestOtherUsers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	mine, group := uint32(os.Getuid()), uint32(os.Getgid())
	for name, tt := range map[string]struct {
		user User
		may  bool
	}{
		"owner": {User{uid: mine}, true},
		"group": {User{uid: 12345, groups: []uint32{1, group}}, true},
		"other": {User{uid: 12345, groups: []uint32{54321}}, false},
		"root":  {User{uid: 0}, true},
	} {
		if got := tt.user.may(dir, fi, 3); got != tt.may {
			t.Errorf("%s: %v", name, got)
		}
	}
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(below, 0o777); err != nil {
		t.Fatal(err)
	}
	if why, err := (&User{uid: 12345}).mayWrite(below); err != nil || !strings.HasPrefix(why, dir+" is drwxrwx---") {
		t.Errorf("%q, %v", why, err)
	}
	if _, err := LookupUser("no-such-user-here"); err == nil {
		t.Error("an unknown user is found")
	}
}

func TestSystems(t *testing.T) {
	kind := func(kind string) func(*system) {
		return func(s *system) { s.mount = func(string) (mount, error) { return mount{kind: kind}, nil } }
	}
	free := func(bytes, files int64) func(*system) {
		return func(s *system) {
			s.free = func(string) (fsx.Space, error) { return fsx.Space{Bytes: bytes, Files: files}, nil }
		}
	}
	left := func(bytes, files int64) func(*system) {
		return func(s *system) {
			s.quota = func(string, *User) ([]quota, error) { return []quota{{"user caddy", bytes, files}}, nil }
		}
	}
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		change func(*system)
		want   want
	}{
		"disk":      {kind("xfs"), want{OK, "file system", "xfs"}},
		"NFS":       {kind("nfs4"), want{Problem, "file system", "nfs4 is a network file system"}},
		"CIFS":      {kind("cifs"), want{Problem, "file system", "cifs is a network file system"}},
		"sshfs":     {kind("fuse.sshfs"), want{Problem, "file system", "fuse.sshfs is a network file system"}},
		"FUSE":      {kind("fuse.mergerfs"), want{Warning, "file system", "(FUSE)"}},
		"container": {kind("overlay"), want{Warning, "file system", "lost with the container"}},
		"memory":    {kind("tmpfs"), want{Warning, "file system", "in memory"}},
		"unknown":   {kind(""), want{Note, "file system", "not known"}},
		"read-only": {func(s *system) {
			s.mount = func(string) (mount, error) { return mount{kind: "ext4", readOnly: true}, nil }
		}, want{Problem, "file system", "read-only"}},
		"room":          {free(2<<30, -1), want{OK, "space", "2.0 GiB are free"}},
		"little room":   {free(1<<30, -1), want{Warning, "space", "a long backlog does not fit"}},
		"no room":       {free(63<<20, -1), want{Problem, "space", "below 64 MiB nothing is written"}},
		"few inodes":    {free(2<<30, 100), want{Warning, "inodes", "100 more files fit"}},
		"no inodes":     {free(2<<30, 10), want{Problem, "inodes", "10 more files fit"}},
		"in use":        {func(s *system) { s.inUse = func(string) (bool, error) { return true, nil } }, want{OK, "lock", "a running Caddy uses the queue"}},
		"locked away":   {func(s *system) { s.inUse = func(string) (bool, error) { return false, fs.ErrPermission } }, want{Note, "lock", "is not known"}},
		"quota":         {left(2<<30, 1e6), want{OK, "quota", "user caddy has 2.0 GiB left"}},
		"little quota":  {left(1<<30, -1), want{Warning, "quota", "user caddy has 1.0 GiB left, and the queue may take 1.0 GiB more"}},
		"no quota left": {left(63<<20, -1), want{Problem, "quota", "user caddy has 63 MiB left"}},
		"few files":     {left(-1, 100), want{Warning, "quota", "user caddy may make 100 more files"}},
		"no files":      {left(-1, 10), want{Problem, "quota", "user caddy may make 10 more files"}},
		"secret quota":  {func(s *system) { s.quota = func(string, *User) ([]quota, error) { return nil, fs.ErrPermission } }, want{Note, "quota", "is not known"}},
		"btrfs":         {kind("btrfs"), want{Note, "quota", "are not looked at"}},
	} {
		t.Run(name, func(t *testing.T) {
			system := roomy()
			tt.change(system)
			tt.want.check(t, lookAt(DataDir{Path: dir, system: system}))
		})
	}
	want{OK, "storage", "on the file system of Caddy's storage"}.check(t, lookAt(DataDir{Path: dir, Storage: filepath.Join(dir, "caddy")}))
}

// A part of the queue that this user may not list is not taken for an empty one.
func TestHidden(t *testing.T) {
	if os.Getuid() == 0 {
		become(t, "TestHidden")
		return
	}
	dir := t.TempDir()
	inner := filepath.Join(dir, "wal")
	if err := os.Mkdir(inner, 0); err != nil {
		t.Fatal(err)
	}
	s := lookAt(DataDir{Path: dir, system: roomy()})
	want{Note, topicDir, "not all that is in it can be looked at"}.check(t, s)
	want{OK, topicSpace, "100 GiB are free; the queue may take 1.0 GiB"}.check(t, s)
	for _, f := range s.Findings {
		if f.Topic == "lock" || f.Topic == "permissions" {
			t.Errorf("%s is said: %s", f.Topic, f.Text)
		}
	}
}

// become runs a test as a user who is not root, because root sees everything.
func become(t *testing.T, name string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "preflight")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "test")
	if err := errors.Join(os.WriteFile(mine, text, 0o755), os.Chmod(mine, 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(mine, "-test.run", "^"+name+"$", "-test.count=1")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The real system is asked without a trace.
func TestNothingIsMade(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "data")
	list := func() (all []string) {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			fi, err := e.Info()
			if err == nil {
				all = append(all, strings.Join([]string{path, fi.Mode().String(), fi.ModTime().String()}, " "))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	for range 2 {
		before := list()
		s := lookAt(DataDir{Path: path})
		if has(s, Problem) {
			t.Errorf("%s", text(t, s))
		}
		if diff := cmp.Diff(before, list()); diff != "" {
			t.Errorf("the directory has changed:\n%s", diff)
		}
		if err := os.MkdirAll(filepath.Join(path, "wal"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "wal", "lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReport(t *testing.T) {
	r := new(Report)
	s := r.Section("destination %s", "a\x1b")
	s.Add(OK, "name", "", "fo%snd", "\x1b\u202e")
	s.Add(Problem, "token", "use another", "refused %s", strings.Repeat("x", 1000))
	r.Section("site").Add(Warning, "visit", "", "%d", 1)
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	golden := "destination a?\n  ok       name   fo??nd\n  problem  token  refused " + strings.Repeat("x", maxShown) +
		"...\n                  fix: use another\n\nsite\n  warning  visit  1\n\nproblems: 1, warnings: 1\n"
	if diff := cmp.Diff(golden, out.String()); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.HasPrefix(string(text), `{"problems":1,"warnings":1,"sections":[{"subject":"destination a?","findings":[{"verdict":"ok","topic":"name","text":"fo??nd"}`) {
		t.Errorf("%s, %v", text, err)
	}
}
