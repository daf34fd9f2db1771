package preflight

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/internal/fsx"
)

const (
	// floor is the free space below which the log begins no segment, by default.
	floor = 64 << 20
	// The log has segmentFiles files for each segment of segmentBytes, and some more.
	segmentBytes = 16 << 20
	segmentFiles = 7
	otherFiles   = 4
	// maxFiles is how many files are looked at for their permissions.
	maxFiles = 10_000
)

// DataDir is a directory of a queue's log and dead letters.
type DataDir struct {
	// Path of the directory, absolute.
	Path string
	// MaxBytes and DeadLetterBytes are how much the log and the dead letters may take.
	MaxBytes, DeadLetterBytes int64
	// Storage is the directory of Caddy's storage, "" if that is something else.
	Storage string
	// User is who Caddy will run as. Default: the user of this process.
	User *User

	system *system // nil: the real one
}

// system is what is asked of the operating system; tests ask something else.
type system struct {
	free  func(dir string) (fsx.Space, error)
	mount func(dir string) (mount, error)
	inUse func(dir string) (bool, error)
	quota func(dir string, u *User) ([]quota, error)
}

var thisSystem = &system{free: fsx.Free, mount: mountOf, inUse: forwarder.InUse, quota: quotasOf}

// mount is the file system that a path is on.
type mount struct {
	kind     string // as mountinfo names it, such as ext4 or fuse.sshfs; "" if that is not known
	readOnly bool
}

const topicDir = "directory"

// Check looks at the directory without touching it.
func (d DataDir) Check(s *Section) {
	if d.system == nil {
		d.system = thisSystem
	}
	there, ok := d.exists(s)
	if !ok {
		return
	}
	kind := d.fileSystem(s, there)
	hidden := d.hidden()
	need := d.space(s, there, hidden != nil)
	d.quotas(s, there, kind, need)
	if d.Storage != "" {
		d.sameDevice(s, there)
	}
	if hidden != nil {
		s.Add(Note, topicDir, "run this command as the user that Caddy runs as, or as root", "not all that is in it can be looked at by the user who runs this command: %v", hidden)
		return
	}
	if there == d.Path {
		d.exposed(s)
	}
	switch used, err := d.system.inUse(d.Path); {
	case err != nil:
		s.Add(Note, "lock", "", "whether a process uses the queue is not known: %v", err)
	case used:
		s.Add(OK, "lock", "", "a running Caddy uses the queue; if it is another than the one that this configuration is for, give each its own data_dir")
	default:
		s.Add(OK, "lock", "", "no process uses the queue")
	}
}

// hidden returns the first error that keeps this process from listing what is in the
// directory, nil if there is none.
func (d DataDir) hidden() (denied error) {
	_ = filepath.WalkDir(d.Path, func(_ string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) {
			denied = err
			return fs.SkipAll
		}
		return nil // what is not there hides nothing
	})
	return denied
}

// exists reports on the directory, and returns the part of its path that is there.
func (d DataDir) exists(s *Section) (there string, ok bool) {
	there = d.Path
	fi, err := os.Stat(there)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(there) != there {
		there = filepath.Dir(there)
		fi, err = os.Stat(there)
	}
	user := d.User.String()
	fix := "make it: install -d -m 700 -o " + d.User.name() + " " + d.Path
	switch {
	case errors.Is(err, fs.ErrPermission):
		s.Add(Problem, topicDir, "run this command as the user that Caddy runs as, or give it access", "%s cannot be looked at by this user", there)
		return "", false
	case err != nil:
		s.Add(Problem, topicDir, "correct data_dir", "%v", err)
		return "", false
	case !fi.IsDir():
		s.Add(Problem, topicDir, "correct data_dir, or remove the file", "%s is a file", there)
		return "", false
	}
	can, err := d.User.mayWrite(there)
	switch {
	case err != nil:
		s.Add(Problem, topicDir, fix, "%v", err)
		return "", false
	case can != "" && there == d.Path:
		s.Add(Problem, topicDir, "chown -R "+d.User.name()+" "+d.Path+", and let the user enter the directories above it", "%s may not write here: %s", user, can)
	case can != "":
		s.Add(Problem, topicDir, fix, "it does not exist, and %s may not make it in %s: %s", user, there, can)
	case there == d.Path:
		s.Add(OK, topicDir, "", "%s, writable for %s", describe(fi), user)
	default:
		s.Add(OK, topicDir, "", "it does not exist; Caddy will make it in %s, which is writable for %s", there, user)
	}
	if d.User == nil && os.Getuid() == 0 {
		s.Add(Note, topicDir, "give the user that Caddy runs as with --user <name>", "root may write everywhere, which says nothing about another user")
	}
	return there, true
}

// Kinds of file systems that are not a local disk, by name or by the part before a dot.
var (
	networkKinds = []string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "gfs2", "ocfs2", "beegfs", "fuse.sshfs", "fuse.glusterfs",
		"fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.davfs"}
	memoryKinds = []string{"tmpfs", "ramfs"}
)

// fileSystem reports on the kind of file system, and returns it.
func (d DataDir) fileSystem(s *Section, there string) (kind string) {
	const topic = "file system"
	m, err := d.system.mount(there)
	is := func(kinds []string) bool {
		for _, k := range kinds {
			if m.kind == k {
				return true
			}
		}
		return false
	}
	const local = "set data_dir to a path on a local disk"
	switch {
	case err != nil:
		s.Add(Note, topic, "", "its kind is not known: %v", err)
		return ""
	case is(networkKinds):
		s.Add(Problem, topic, local, "%s is a network file system, which is not supported: locks and memory maps are not reliable there", m.kind)
	case is(memoryKinds):
		s.Add(Warning, topic, local, "%s is in memory: events that wait are lost with the machine", m.kind)
	case m.kind == "overlay":
		s.Add(Warning, topic, "mount a volume at data_dir", "overlay is a container's own: events that wait are lost with the container")
	case m.kind == "fuse" || m.kind == "fuseblk" || strings.HasPrefix(m.kind, "fuse."):
		s.Add(Warning, topic, local, "%s is a file system of a program (FUSE); on a network it is not supported", m.kind)
	case m.kind == "":
		s.Add(Note, topic, "", "its kind is not known on this system; a network file system is not supported")
	default:
		s.Add(OK, topic, "", "%s", m.kind)
	}
	if m.readOnly {
		s.Add(Problem, topic, "mount it for writing", "it is mounted read-only")
	}
	return m.kind
}

const (
	topicSpace = "space"
	fixSpace   = "make room, or set a smaller max_size"
)

func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

// space compares what is free with what the queue may still take, which it returns.
// What a queue has that is hidden from this process is not known.
func (d DataDir) space(s *Section, there string, hidden bool) (need int64) {
	used := int64(0)
	if there == d.Path && !hidden {
		used = fsx.Usage(d.Path)
	}
	most := d.MaxBytes + d.DeadLetterBytes
	need = max(0, most-used)
	free, err := d.system.free(there)
	if err != nil {
		s.Add(Warning, topicSpace, "", "%v", err)
		return need
	}
	switch {
	case free.Bytes < floor:
		s.Add(Problem, topicSpace, "make room", "%s are free: below %s nothing is written", size(free.Bytes), size(floor))
	case free.Bytes < need+floor && hidden:
		s.Add(Warning, topicSpace, fixSpace, "%s are free; what the queue has is not known, and it may take %s (max_size and dead_letters_size): a long backlog may not fit", size(free.Bytes), size(most))
	case free.Bytes < need+floor:
		s.Add(Warning, topicSpace, fixSpace, "%s are free; the queue has %s and may take %s (max_size and dead_letters_size): a long backlog does not fit", size(free.Bytes), size(used), size(most))
	case hidden:
		s.Add(OK, topicSpace, "", "%s are free; the queue may take %s", size(free.Bytes), size(most))
	default:
		s.Add(OK, topicSpace, "", "%s are free; the queue has %s of the %s that it may take", size(free.Bytes), size(used), size(most))
	}
	files := filesFor(need)
	switch {
	case free.Files < 0: // no limit
	case free.Files < segmentFiles+otherFiles:
		s.Add(Problem, "inodes", "remove files", "%d more files fit on the file system; the queue needs %d to begin", free.Files, segmentFiles+otherFiles)
	case free.Files < files:
		s.Add(Warning, "inodes", fixSpace, "%d more files fit on the file system; the queue may need %d", free.Files, files)
	}
	return need
}

// exposed looks for files that others may read, and directories that they may change:
// events are personal data. What lies below a directory that they may not enter is
// theirs to neither.
func (d DataDir) exposed(s *Section) {
	const topic = "permissions"
	n, found := 0, ""
	var mode fs.FileMode
	err := filepath.WalkDir(d.Path, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it has just gone, or is another user's
		}
		if n++; n > maxFiles {
			return fs.SkipAll
		}
		fi, err := e.Info()
		if err != nil {
			return nil
		}
		open := fs.FileMode(0o066)
		if e.IsDir() {
			open = 0o022
		}
		if fi.Mode().Perm()&open != 0 && e.Type()&fs.ModeSymlink == 0 {
			found, mode = path, fi.Mode()
			return fs.SkipAll
		}
		if e.IsDir() && fi.Mode().Perm()&0o011 == 0 {
			return fs.SkipDir
		}
		return nil
	})
	switch {
	case err != nil:
		s.Add(Note, topic, "", "%v", err)
	case found != "":
		s.Add(Warning, topic, "chmod -R go-rwx "+d.Path, "other users may read or change %s (%s), and events are personal data", found, mode.String())
	default:
		s.Add(OK, topic, "", "no other user may read or change what is in it")
	}
}

// sameDevice says what the queue shares its space with.
func (d DataDir) sameDevice(s *Section, there string) {
	storage := d.Storage
	fi, err := os.Stat(storage)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(storage) != storage {
		storage = filepath.Dir(storage)
		fi, err = os.Stat(storage)
	}
	own, ownErr := os.Stat(there)
	if err != nil || ownErr != nil {
		return // the storage is Caddy's matter
	}
	if a, ok := deviceOf(fi); ok {
		if b, _ := deviceOf(own); a == b {
			s.Add(OK, "storage", "", "on the file system of Caddy's storage (%s), which needs room for certificates too", d.Storage)
			return
		}
		s.Add(OK, "storage", "", "on another file system than Caddy's storage (%s)", d.Storage)
	}
}
