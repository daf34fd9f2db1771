package preflight

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An access control list counts in place of the mode, as acl(5) says.
func TestAccessLists(t *testing.T) {
	list := func(mask uint32) []aclEntry {
		return []aclEntry{{0x01, 6, 0}, {0x02, 7, 100}, {0x04, 0, 0}, {0x08, 7, 200}, {0x10, mask, 0}, {0x20, 1, 0}}
	}
	for name, tt := range map[string]struct {
		user User
		mask uint32
		want uint32
		may  bool
	}{
		"owner":           {User{uid: 50}, 0, 6, true},
		"named":           {User{uid: 100}, 7, 3, true},
		"named, masked":   {User{uid: 100}, 5, 3, false},
		"owning group":    {User{uid: 101, groups: []uint32{60}}, 7, 1, false},
		"named group":     {User{uid: 101, groups: []uint32{200}}, 7, 3, true},
		"any of groups":   {User{uid: 101, groups: []uint32{60, 200}}, 7, 3, true},
		"other":           {User{uid: 101}, 0, 1, true},
		"other, too much": {User{uid: 101}, 7, 3, false},
	} {
		if got := tt.user.listed(list(tt.mask), 50, 60, tt.want); got != tt.may {
			t.Errorf("%s: %v", name, got)
		}
	}

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range list(7) {
		text = binary.LittleEndian.AppendUint16(text, e.tag)
		text = binary.LittleEndian.AppendUint16(text, uint16(e.bits))
		text = binary.LittleEndian.AppendUint32(text, e.id)
	}
	if err := unix.Setxattr(file, "system.posix_acl_access", text, 0); err != nil {
		t.Skipf("no access control lists here: %v", err)
	}
	if got := accessList(file); len(got) != 6 || got[1] != list(7)[1] {
		t.Errorf("the list is read as %v", got)
	}
}

// The structure is the kernel's, and what it leaves is the lower limit's rest.
func TestQuotaLeft(t *testing.T) {
	if n := unsafe.Sizeof(quotaEntry{}); n != 72 {
		t.Errorf("struct if_dqblk has %d bytes", n)
	}
	const all = 0x3f
	for name, tt := range map[string]struct {
		entry quotaEntry
		want  quota
	}{
		"none":      {quotaEntry{bytesUsed: 5, valid: all}, quota{"", -1, -1}},
		"hard":      {quotaEntry{bytesHard: 100, bytesUsed: 1024, filesHard: 10, filesUsed: 4, valid: all}, quota{"", 99 << 10, 6}},
		"soft":      {quotaEntry{bytesHard: 100, bytesSoft: 50, bytesUsed: 1024, valid: all}, quota{"", 49 << 10, -1}},
		"soft only": {quotaEntry{bytesSoft: 50, filesSoft: 3, filesUsed: 1, valid: all}, quota{"", 50 << 10, 2}},
		"used up":   {quotaEntry{bytesHard: 1, bytesUsed: 4096, valid: all}, quota{"", 0, -1}},
		"not said":  {quotaEntry{bytesHard: 1}, quota{"", -1, -1}},
	} {
		if got := tt.entry.left(); got != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// The machine of a test has no quota, or no limit for this user.
	if found, err := quotasOf(t.TempDir(), nil); err != nil && !strings.Contains(err.Error(), "quotactl") {
		t.Errorf("%v, %v", found, err)
	}
}

// A file is read by way of its directories, and of the link that leads to it.
func TestMayRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	other := &User{login: "caddy", uid: 12345}
	for _, path := range []string{file, link} {
		if why, err := other.MayRead(path); err != nil || !strings.Contains(why, "token is -rw-r-----") {
			t.Errorf("%s: %q, %v", path, why, err)
		}
	}
	if why, err := (*User)(nil).MayRead(file); err != nil || why != "" {
		t.Errorf("%q, %v", why, err)
	}
	if _, err := other.MayRead(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there may be read")
	}
}
