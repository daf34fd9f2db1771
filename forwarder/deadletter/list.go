package deadletter

import "slices"

// List is a part of the dead letters.
type List struct {
	Letters []Letter // the latest ones, oldest first
	Matched int      // how many the filter chooses, whatever the limit
	Damaged int      // lines that cannot be read; they stay where they are
}

// Add takes a letter in that is later than those before. The list holds somewhat
// more than limit of them until Merge.
func (l *List) Add(letter *Letter, limit int) {
	l.Matched++
	if l.Letters = append(l.Letters, *letter); len(l.Letters) >= 2*limit+64 {
		l.cut(limit)
	}
}

// cut leaves the latest letters.
func (l *List) cut(limit int) {
	if n := len(l.Letters) - limit; n > 0 {
		l.Letters = append(l.Letters[:0], l.Letters[n:]...)
	}
}

// Merge makes one list of those of several places: the latest letters of all, at
// most limit.
func Merge(limit int, lists ...List) (all List) {
	for _, l := range lists {
		l.cut(limit)
		all.Letters = append(all.Letters, l.Letters...)
		all.Matched += l.Matched
		all.Damaged += l.Damaged
	}
	slices.SortStableFunc(all.Letters, func(a, b Letter) int { return a.Time.Compare(b.Time) })
	all.cut(limit)
	return all
}
