package preflight

import "testing"

func TestFindMount(t *testing.T) {
	const table = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:30 / /srv rw shared:1 - btrfs /dev/vdb rw
31 30 0:31 / /srv/data\040dir ro,noatime - nfs4 host:/export rw
32 22 0:32 / /mnt rw - fuse.sshfs me@host: rw
33 32 0:33 / /mnt rw - tmpfs tmpfs ro
not a line
`
	for path, want := range map[string]mount{
		"/":               {"ext4", false},
		"/srvx":           {"ext4", false},
		"/srv/a":          {"btrfs", false},
		"/srv/data dir":   {"nfs4", true},
		"/srv/data dir/a": {"nfs4", true},
		"/mnt/a":          {"tmpfs", true},
	} {
		if got, err := findMount(table, path); err != nil || got != want {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	if _, err := findMount("", "/"); err == nil {
		t.Error("found in an empty table")
	}
}
