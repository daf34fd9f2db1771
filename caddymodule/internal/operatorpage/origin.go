package operatorpage

import (
	"fmt"
	"net/http"
)

var sameOrigin = http.NewCrossOriginProtection()

// CheckOrigin returns an error for a request that a browser makes for a page of
// another origin, be it to change something or to read. Requests of other programs,
// which say nothing of an origin, pass.
func CheckOrigin(r *http.Request) error {
	// Check lets a GET pass, since it changes nothing. Here it tells.
	unsafe := r.WithContext(r.Context())
	unsafe.Method = http.MethodPost
	if err := sameOrigin.Check(unsafe); err != nil {
		return fmt.Errorf("a page of another origin may not ask this: %w", err)
	}
	return nil
}
