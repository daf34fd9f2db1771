package preflight

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// User is a user of this machine. Nil stands for the one of this process.
type User struct {
	login  string
	uid    uint32
	gid    uint32   // of files that the user makes
	groups []uint32 // all
}

// LookupUser finds a user by name or number.
func LookupUser(name string) (*User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("this machine has no user %q", name)
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: the number %q cannot be read", name, u.Uid)
	}
	found := &User{login: u.Username, uid: uint32(uid)}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: the number %q of a group cannot be read", name, u.Gid)
	}
	found.gid = uint32(gid)
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of %s: %w", name, err)
	}
	for _, g := range append(groups, u.Gid) {
		if gid, err := strconv.ParseUint(g, 10, 32); err == nil {
			found.groups = append(found.groups, uint32(gid))
		}
	}
	return found, nil
}

// String names the user in a sentence.
func (u *User) String() string { return "user " + u.name() }

func (u *User) name() string {
	if u != nil {
		return u.login
	}
	if me, err := user.Current(); err == nil {
		return me.Username
	}
	return strconv.Itoa(os.Getuid())
}
