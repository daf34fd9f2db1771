package fleet

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

func (j *jetStream) Read(lane string, after uint64) reader {
	return &jetReader{j: j, lane: lane, after: after}
}

// jetReader reads the events of a lane.
type jetReader struct {
	j     *jetStream
	lane  string
	after uint64
	p     *puller // from the first Next
}

func (r *jetReader) Next(ctx context.Context, maxBytes int) ([]stored, error) {
	if r.p == nil {
		l, err := r.j.planner.lane(r.lane)
		if err != nil {
			return nil, err
		}
		p, err := r.j.pull(ctx, l.stream, jetstream.ConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.after + 1,
			FilterSubject: l.events(),
		})
		if err != nil {
			return nil, err
		}
		r.p = p
	}
	messages, err := r.p.next(ctx, max(maxBytes, 1), true)
	if err != nil {
		return nil, err
	}
	out := make([]stored, len(messages))
	for i, m := range messages {
		out[i] = stored{m.sequence, m.at, m.Data}
	}
	return out, nil
}

func (r *jetReader) Close() {
	if r.p != nil {
		r.p.close()
	}
}
