package preflight

import (
	"context"
	"fmt"
	"strings"

	"github.com/intilery/caddy-intilery/forwarder/fleet"
)

// Fleet connects to the brokers as a node does, and looks at the streams that the
// destinations need. What a node may publish is seen only where looking needs it.
func (c *Checker) Fleet(ctx context.Context, s *Section, o fleet.Options, destinations []string) {
	ctx, cancel := c.step(ctx)
	defer cancel()
	seen, err := fleet.Probe(ctx, o, destinations)
	if seen.Version != "" {
		s.Add(OK, "broker", "", "%s, NATS %s, answers in %v", seen.Server, seen.Version, rounded(seen.RoundTrip))
	}
	if err != nil {
		s.Add(Problem, "broker", "check the servers, the user and its permissions: 'caddy intilery fleet plan' prints those that are needed", "%v", err)
		return
	}
	const topic = "streams"
	missing := fmt.Sprintf("%d of %d are missing", len(seen.Missing), seen.Streams)
	switch {
	case len(seen.Missing) > 0 && o.Check:
		s.Add(Problem, topic, "make them, as 'caddy intilery fleet plan' prints them", "%s: %s", missing, strings.Join(seen.Missing, ", "))
	case len(seen.Missing) > 0:
		s.Add(OK, topic, "", "%s, and the first node will make them", missing)
	default:
		s.Add(OK, topic, "", "all %d are there", seen.Streams)
	}
	for _, err := range seen.Wrong {
		if o.Check {
			s.Add(Problem, topic, "set it as 'caddy intilery fleet plan' prints it", "%v", err)
		} else {
			s.Add(Warning, topic, "see that this configuration is the fleet's", "the node will change this: %v", err)
		}
	}
}
