package preflight

import (
	"context"
	"errors"
	"net"
	"net/url"

	"github.com/intilery/caddy-intilery/doctor"
)

// Site visits a page as the doctor does: the site counts the visitors. A site that
// cannot be connected to is noted and left out, since it may not be up yet. The
// doctor's time is three steps.
func (c *Checker) Site(ctx context.Context, s *Section, d *doctor.Doctor, page *url.URL) {
	const topic = "visit"
	ctx, cancel := context.WithTimeout(ctx, 3*c.timeout())
	defer cancel()
	found, err := d.Examine(ctx, page, page)
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case errors.As(err, &dns), errors.As(err, &dial) && dial.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		s.Add(Note, topic, "start Caddy and check again", "left out: the site is not up, or not to be reached from here (%v)", plain(ctx, err))
	case err != nil:
		s.Add(Problem, topic, "open the page in a browser: its certificate and its answers must be good", "%v", err)
	default:
		for _, f := range found.Findings() {
			s.Add(Verdict(f.Verdict), f.Topic, f.Fix, "%s", f.Text)
		}
	}
}
