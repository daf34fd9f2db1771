package preflight

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// aclEntry is an entry of an access control list, as acl(5) describes it.
type aclEntry struct {
	tag  uint16
	bits uint32
	id   uint32
}

// Tags of linux/posix_acl_xattr.h.
const (
	aclOwner  = 0x01
	aclUser   = 0x02
	aclOwning = 0x04 // the owning group
	aclGroup  = 0x08
	aclMask   = 0x10
	aclOther  = 0x20
)

// accessList returns a path's access control list, nil if it has none beside its mode.
func accessList(path string) (list []aclEntry) {
	text := make([]byte, 4096)
	n, err := unix.Getxattr(path, "system.posix_acl_access", text)
	if err != nil || n < 4 || binary.LittleEndian.Uint32(text) != 2 { // the version
		return nil
	}
	for text = text[4:n]; len(text) >= 8; text = text[8:] {
		list = append(list, aclEntry{
			tag:  binary.LittleEndian.Uint16(text),
			bits: uint32(binary.LittleEndian.Uint16(text[2:])),
			id:   binary.LittleEndian.Uint32(text[4:]),
		})
	}
	return list
}

// listed follows the access check algorithm of acl(5).
func (u *User) listed(list []aclEntry, owner, group, want uint32) bool {
	of := make(map[uint16]uint32) // those that are there once
	for _, e := range list {
		of[e.tag] = e.bits
	}
	mask, masked := of[aclMask]
	if !masked {
		mask = read | write | enter
	}
	if u.uid == owner {
		return of[aclOwner]&want == want
	}
	for _, e := range list {
		if e.tag == aclUser && e.id == u.uid {
			return e.bits&mask&want == want
		}
	}
	member := false
	for _, e := range list {
		if e.tag == aclOwning {
			e.id = group
		} else if e.tag != aclGroup {
			continue
		}
		if slices.Contains(u.groups, e.id) {
			if member = true; e.bits&mask&want == want {
				return true
			}
		}
	}
	return !member && of[aclOther]&want == want
}
