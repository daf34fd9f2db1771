package cookie

// tagUserDigest returns a digest of the tag's userId in a cookie's value, or 0 for
// nobody. Forms that mean the same user give the same digest: quoted as JSON or
// not, percent-encoded or not, a number or its text, which the tag takes for one
// user too.
//
// It is FNV-1a, which anyone can make collide: the value is the visitor's to
// choose anyway, and all that a collision hides is a change of users.
func tagUserDigest(value string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	text, _ := parseValue(value)
	switch text {
	case "", "null", "undefined", quote, `"`:
		return 0
	}
	sum := uint64(offset)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]) {
			c = unhex(text[i+1])<<4 | unhex(text[i+2])
			i += 2
		}
		sum = (sum ^ uint64(c)) * prime
	}
	return max(sum, 1)
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0x0f + 9
}

// preferRemembered picks, among the tag's users that differ, the one that the keeper
// remembers: a twin in another scope is no change of users.
func (rv *Resolver) preferRemembered(s *seen, lines []string) {
	for c := newCursor(lines); c.next(); {
		if c.name == rv.cfg.UserName && tagUserDigest(c.value) == s.keeper.tagUser {
			s.tagUser = s.keeper.tagUser
			return
		}
	}
}

// userChanged reports that the tag knows another user than when the keeper was
// written. That it knows one for the first time, or none any more, is no change.
func (s *seen) userChanged() bool {
	return s.tagUser != 0 && s.keeper.tagUser != 0 && s.tagUser != s.keeper.tagUser
}

// followTag gives a visitor whom the tag takes for another user a new ID, as the
// tag does. Where the tag has made one already, that one stands.
func (id *Identity) followTag(r Request) {
	if !id.seen.userChanged() {
		return
	}
	switch id.Reason {
	case Diverged:
		id.Reason = Switched
	case Kept, Restored:
		if r.Document && !r.Speculative {
			id.mint(Switched)
			id.tagSwitched = id.fresh
		}
	}
}

// unfollow takes followTag back where the new ID cannot be set: the tag goes on
// with the ID that the browser has, and so do we, but nobody is named. The
// keeper still remembers the tag's old user, so that the next document tries again.
func (id *Identity) unfollow() {
	id.AnonymousID, id.fresh = id.seen.keeper.anonymousID, false
	id.Reason = Kept
	if id.seen.readable == "" {
		id.Reason = Restored
	}
}
