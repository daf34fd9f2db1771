package fleet

import (
	"context"
	"encoding/json"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/queue"
)

// locate asks the broker how far this node has come.
func (m *mover) locate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	text, revision, err := m.f.b.Position(ctx, m.lane)
	if err != nil {
		return err
	}
	acked := m.src.Acknowledged()
	var p position
	if revision != 0 {
		if err := json.Unmarshal(text, &p); err != nil {
			m.f.log.Error("this node's position in a stream cannot be read; its log is handed over again", "lane", m.lane, "error", err)
			p = position{}
		}
	}
	m.revision = revision
	if !p.At.IsZero() && !p.At.SameLog(acked) {
		p.At = queue.Position{} // of a log that is not there any more
	}
	if !m.located && m.f.ahead(m.lane, p.At) {
		m.f.log.Error("this node's log is an older copy, since the fleet knows later events of it; all that it holds is handed over again", "lane", m.lane)
		p.At = queue.Position{}
	}
	if err := m.compare(p); err != nil {
		return err
	}
	at := p.At
	if at.Compare(acked) < 0 {
		at = acked
	}
	// A batch whose answer was lost, or what an earlier process has handed over.
	from := acked
	if !m.sent.at.IsZero() {
		from = m.sent.at
	}
	if at.Compare(from) > 0 {
		m.recount(from, at, p.Total)
	}
	if m.located && p.Total > m.total {
		m.handed.Add(p.Total - m.total)
	}
	if p.At.Compare(m.unanswered) >= 0 {
		m.unsure.Store(false) // it is there
	}
	m.known, m.located, m.at, m.total, m.recs = true, true, at, p.Total, nil
	if !p.At.IsZero() {
		m.sent = mark{at: at, total: p.Total}
	}
	return nil
}

// compare looks whether the broker knows less than it did.
func (m *mover) compare(p position) error {
	if m.sent.at.IsZero() || p.At.Compare(m.sent.at) >= 0 {
		m.behind = time.Time{}
		return nil
	}
	// A stream's new leader may know less for a moment.
	if m.behind.IsZero() {
		m.behind = time.Now()
	}
	if time.Since(m.behind) < believeAfter {
		return errBehind
	}
	m.wentBack(p)
	m.behind = time.Time{}
	return nil
}

// wentBack deals with a broker that has lost its latest writes: what this node has
// kept of them it hands over again. That other events may have got their sequences
// is for the lane's owner to see.
func (m *mover) wentBack(p position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.sent.total
	if len(m.kept) > 0 {
		first = m.kept[0].before
	}
	m.f.log.Error("the broker has lost events that it had acknowledged; they are handed over again as far as this node has kept them",
		"lane", m.lane, "events", m.sent.total-p.Total)
	if p.Total < first && p.At.Compare(m.src.Acknowledged()) < 0 {
		m.lost.broker.Add(first - p.Total)
		m.f.log.Error("events are lost: the broker lost them after this node had removed them; raise keep", "lane", m.lane, "events", first-p.Total)
	}
	for i, k := range m.kept {
		if k.at.Compare(p.At) > 0 {
			m.takeBack(m.kept[i:])
			m.kept = m.kept[:i]
			break
		}
	}
}

// recount finds what an earlier process has handed over and kept.
func (m *mover) recount(from, upto queue.Position, total uint64) {
	k := mark{at: upto, total: total, when: time.Now()}
	for at := from; at.Compare(upto) < 0; {
		recs, err := m.src.Read(at, batchBytes)
		if err != nil || len(recs) == 0 {
			break
		}
		for _, r := range recs {
			if r.Position.Compare(upto) <= 0 {
				k.events++
			}
			at = r.Position
		}
	}
	k.before = total - min(total, uint64(k.events))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append(m.kept, k)
}

// confirmEvery is how often a lane is confirmed at most.
const confirmEvery = time.Second

// confirm lets the log forget what was handed over long enough ago, if the broker
// still has it.
func (m *mover) confirm(ctx context.Context) error {
	if time.Since(m.confirmed) < confirmEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	m.mu.Lock()
	n, keep := 0, m.f.keep()
	for n < len(m.kept) && time.Since(m.kept[n].when) >= keep {
		n++
	}
	if n == 0 {
		m.mu.Unlock()
		return nil
	}
	upto := m.kept[n-1]
	m.mu.Unlock()
	text, revision, err := m.f.b.Position(ctx, m.lane)
	if err != nil {
		return err
	}
	var p position
	if revision != m.revision || json.Unmarshal(text, &p) != nil || p.At.Compare(upto.at) < 0 {
		return errConflict
	}
	m.confirmed = time.Now()
	m.src.Acknowledge(upto.at)
	m.mu.Lock()
	m.kept = m.kept[n:]
	m.mu.Unlock()
	return m.f.b.TrimPositions(ctx, m.lane, m.revision)
}

// due reports whether there is something to confirm.
func (m *mover) due(keep time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.kept) > 0 && time.Since(m.kept[0].when) >= keep
}

// keeps is how many events were handed over and are still in the log.
func (m *mover) keeps() (n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kept {
		n += uint64(k.events)
	}
	return n
}
