package fleet

import (
	"context"
	"slices"
)

// letters returns the stream of a destination's dead letters. No lane has its name.
func (b *memBroker) letters(destination string) *memStream { return b.stream(destination) }

// setMaxPayload bounds each message.
func (b *memBroker) setMaxPayload(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.maxPayload = bytes
}

// last returns a visitor's last message.
func (s *memStream) lastOf(visitor string) (m memMessage) {
	for _, other := range s.messages {
		if other.visitor == visitor {
			m = other
		}
	}
	return m
}

func (n *memNode) LastLetter(ctx context.Context, destination, visitor string) (id string, sequence uint64, err error) {
	err = n.read(ctx, "LastLetter", func() {
		m := n.b.letters(destination).lastOf(visitor)
		id, sequence = m.letter, m.sequence
	})
	return id, sequence, err
}

// AddLetter drops the oldest letters where there is no room.
func (n *memNode) AddLetter(ctx context.Context, destination string, letter message, id string, last uint64) error {
	n.b.mu.Lock()
	limit := n.b.maxPayload
	n.b.mu.Unlock()
	if limit > 0 && len(letter.payload) > limit {
		return errTooLarge
	}
	return n.write(ctx, "AddLetter", destination, func() error {
		s := n.b.letters(destination)
		if s.lastOf(letter.visitor).sequence != last {
			return errConflict
		}
		s.add(memMessage{visitor: letter.visitor, letter: id, payload: slices.Clone(letter.payload)})
		for n.b.maxBytes > 0 && s.bytes > n.b.maxBytes {
			oldest := s.messages[0].sequence
			s.remove(func(m memMessage) bool { return m.sequence == oldest })
		}
		return nil
	})
}

func (n *memNode) Letters(ctx context.Context, destination string, visit func(stored) error) error {
	var all []memMessage
	if err := n.read(ctx, "Letters", func() { all = slices.Clone(n.b.letters(destination).messages) }); err != nil {
		return err
	}
	for _, m := range all {
		if err := visit(stored{m.sequence, m.at, slices.Clone(m.payload)}); err != nil {
			return err
		}
	}
	return nil
}

// removeLetters removes the letters that are chosen, and returns how many.
func (n *memNode) removeLetters(ctx context.Context, method, destination string, gone func(memMessage) bool) (count int, err error) {
	err = n.write(ctx, method, destination, func() error {
		s := n.b.letters(destination)
		before := len(s.messages)
		s.remove(gone)
		count = before - len(s.messages)
		return nil
	})
	return count, err
}

func (n *memNode) RemoveLetter(ctx context.Context, destination string, sequence uint64) (bool, error) {
	removed, err := n.removeLetters(ctx, "RemoveLetter", destination, func(m memMessage) bool { return m.sequence == sequence })
	return removed > 0, err
}

func (n *memNode) PurgeLetters(ctx context.Context, destination string, before uint64) (int, error) {
	return n.removeLetters(ctx, "PurgeLetters", destination, func(m memMessage) bool { return m.sequence < before })
}

func (n *memNode) EraseLetters(ctx context.Context, destination, visitor string) (int, error) {
	return n.removeLetters(ctx, "EraseLetters", destination, func(m memMessage) bool { return m.visitor == visitor })
}

func (n *memNode) LettersState(ctx context.Context, destination string) (state, error) {
	return n.State(ctx, destination)
}
