package cookie

import "fmt"

// Reason says how an identity came about. Its text is a metric label and the
// placeholder {intilery.identity}.
type Reason uint8

const (
	// None: there is no ID and none was to be made.
	None Reason = iota
	// NoKey: the resolver has no keys yet. An ID that the browser brought is used as
	// it is, nothing is made or set.
	NoKey
	// NoConsent: consent is required and neither granted nor refused.
	NoConsent
	// Denied: consent was refused or withdrawn.
	Denied
	// Withheld: the browser kept the cookies back from a request of another site,
	// so that nothing is known.
	Withheld
	// Minted: a new visitor got a new ID.
	Minted
	// Adopted: the browser brought an ID that the server did not know.
	Adopted
	// Kept: the browser brought the ID that the keeper holds.
	Kept
	// Restored: the ID came from the keeper after the browser's cap removed the
	// readable cookie.
	Restored
	// Reset: the visitor, the tag or the app ended the old identity.
	Reset
	// Switched: another user took over the browser, under a new ID.
	Switched
	// Diverged: the browser brought another ID than the keeper holds, and wins.
	Diverged
	// HandedOver: a link of ours brought the ID from another of the customer's
	// sites.
	HandedOver

	// ReasonCount is the number of reasons.
	ReasonCount = int(iota)
)

// Reasons returns every Reason.
func Reasons() []Reason {
	reasons := make([]Reason, len(reasonNames))
	for i := range reasons {
		reasons[i] = Reason(i)
	}
	return reasons
}

// String returns the reason in snake case.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

var reasonNames = [...]string{
	None:       "none",
	NoKey:      "no_key",
	NoConsent:  "no_consent",
	Denied:     "denied",
	Withheld:   "withheld",
	Minted:     "minted",
	Adopted:    "adopted",
	Kept:       "kept",
	Restored:   "restored",
	Reset:      "reset",
	Switched:   "switched",
	Diverged:   "diverged",
	HandedOver: "handed_over",
}

var _ fmt.Stringer = None
