package collect

import (
	"net/http/httptest"
	"testing"
)

// A handler in front may edit the values of a header where they are (Caddy's
// header_regexp and header replacements do): the next answer has its own.
func TestAnswersShareNothing(t *testing.T) {
	for range 2 {
		w := httptest.NewRecorder()
		Accepted(w, nil)
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Length": "16",
		} {
			if got := w.Header()[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q", name, got)
			}
			w.Header()[name][0] = "edited"
			w.Header()[name] = append(w.Header()[name], "added")
		}
	}
}
