package event

// Visitor is whom an event is about: hashes of its anonymousId and userId, 0 for
// one that it lacks. Two that share a hash by chance are taken for one, which does
// no harm.
type Visitor [2]uint64

// Visitor returns whom the event is about.
func (s Stored) Visitor() Visitor { return VisitorOf(s.IDs()) }

// VisitorOf returns the visitor with these IDs; either may be empty.
func VisitorOf(anonymousID, userID string) (v Visitor) {
	if len(anonymousID) > 0 {
		v[0] = hash64('a', anonymousID)
	}
	if len(userID) > 0 {
		v[1] = hash64('u', userID)
	}
	return v
}

// hash64 is FNV-1a, never 0.
func hash64(kind byte, id string) uint64 {
	h := uint64(14695981039346656037)
	h = (h ^ uint64(kind)) * 1099511628211
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h | 1<<63
}

// Lanes is how many lanes each destination has. The lane of a visitor's backlog, on
// disk and in a fleet's streams, follows from it: do not change it lightly.
const Lanes = 8

// Lane returns the lane of a visitor, of n: a hash (FNV-1a) of the anonymousId,
// else of the userId. The anonymousId comes first: a browser's events carry it
// whether its user is known or not, so that what a visitor does before, during and
// after a login stays in one lane. A backlog on disk depends on it.
func Lane(anonymousID, userID string, n int) int {
	id := anonymousID
	if id == "" {
		id = userID
	}
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return int(h % uint32(n))
}
