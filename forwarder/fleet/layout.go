package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Layout is what a fleet needs of its brokers. Its text is for an administrator.
type Layout struct {
	Streams []StreamPlan
	// Publish and Subscribe are the subjects that the user of a node with Check
	// needs. Without Check it also needs CREATE and UPDATE of each stream.
	Publish, Subscribe []string
}

// StreamPlan is a stream with its settings, as JSON that nats stream add --config takes.
type StreamPlan struct {
	Name   string
	Config json.RawMessage
}

// Plan returns what a fleet with these options needs for its destinations. It asks
// no broker. Nodes may share a user: positions of
// all nodes are allowed.
func Plan(o Options, destinations []string) (Layout, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return Layout{}, err
	}
	p, err := newPlanner(o)
	if err != nil {
		return Layout{}, err
	}
	streams, err := p.streams(destinations)
	if err != nil {
		return Layout{}, err
	}
	var out Layout
	for _, s := range streams {
		config, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return Layout{}, fmt.Errorf("stream %s: %w", s.Name, err)
		}
		out.Streams = append(out.Streams, StreamPlan{s.Name, config})
	}
	out.Publish = append(p.api(p.bucketStream(), "STREAM.MSG.GET.%s", "CONSUMER.CREATE.%s.>",
		"CONSUMER.MSG.NEXT.%s.*", "CONSUMER.DELETE.%s.*"), p.keys())
	for _, d := range destinations {
		for i := range lanes {
			l := p.laneOf(d, i)
			out.Publish = append(out.Publish, p.api(l.stream, "STREAM.MSG.GET.%s", "STREAM.PURGE.%s",
				"CONSUMER.CREATE.%s.>", "CONSUMER.MSG.NEXT.%s.*", "CONSUMER.DELETE.%s.*")...)
			out.Publish = append(out.Publish, l.events(), l.position("*"))
		}
		out.Publish = append(out.Publish, p.api(p.deadLetters(d), "STREAM.MSG.GET.%s", "STREAM.MSG.DELETE.%s", "STREAM.PURGE.%s",
			"CONSUMER.CREATE.%s.>", "CONSUMER.MSG.NEXT.%s.*", "CONSUMER.DELETE.%s.*")...)
		out.Publish = append(out.Publish, p.deadLetterSubjects(d))
	}
	out.Subscribe = []string{inbox(p.prefix) + ".>"}
	return out, nil
}

// api returns the subjects of JetStream's API for a stream: its state, and others.
func (planner) api(stream string, others ...string) []string {
	out := []string{"$JS.API.STREAM.INFO." + stream}
	for _, o := range others {
		out = append(out, "$JS.API."+fmt.Sprintf(o, stream))
	}
	return out
}

// String is the layout as text.
func (l Layout) String() string {
	var b strings.Builder
	for _, s := range l.Streams {
		fmt.Fprintf(&b, "stream %s\n%s\n\n", s.Name, s.Config)
	}
	b.WriteString("publish\n")
	for _, s := range l.Publish {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	b.WriteString("\nsubscribe\n")
	for _, s := range l.Subscribe {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	return b.String()
}
