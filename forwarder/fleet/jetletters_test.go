package fleet

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const anyDestination = "default"

// addLetter adds a letter behind the visitor's last one.
func addLetter(t *testing.T, b broker, who int, id string) {
	t.Helper()
	_, last, err := b.LastLetter(deadline(t), anyDestination, someone(who))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddLetter(deadline(t), anyDestination, message{someone(who), []byte("letter " + id)}, id, last); err != nil {
		t.Fatal(err)
	}
}

func lettersOf(t *testing.T, b broker) []string {
	t.Helper()
	list := []string{}
	if err := b.Letters(deadline(t), anyDestination, func(s stored) error {
		list = append(list, fmt.Sprintf("%d:%s", s.sequence, s.payload))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// letterContract is what broker.go promises of dead letters.
func letterContract(t *testing.T, b broker) {
	if got := lettersOf(t, b); len(got) != 0 {
		t.Errorf("at the start: %v", got)
	}
	if id, last, err := b.LastLetter(deadline(t), anyDestination, someone(1)); id != "" || last != 0 || err != nil {
		t.Errorf("at the start: %q, %d, %v", id, last, err)
	}
	for i := range 9 {
		addLetter(t, b, i%3, fmt.Sprint("id", i))
	}
	if id, last, err := b.LastLetter(deadline(t), anyDestination, someone(1)); id != "id7" || last != 8 || err != nil {
		t.Errorf("last: %q, %d, %v", id, last, err)
	}
	for _, last := range []uint64{0, 5, 9, 1000} {
		if err := b.AddLetter(deadline(t), anyDestination, message{someone(1), []byte("x")}, "x", last); !errors.Is(err, errConflict) {
			t.Errorf("behind %d: %v, want errConflict", last, err)
		}
	}
	for _, want := range []bool{true, false} {
		if is, err := b.RemoveLetter(deadline(t), anyDestination, 5); is != want || err != nil {
			t.Errorf("remove: %v, %v, want %v", is, err, want)
		}
	}
	if is, err := b.RemoveLetter(deadline(t), anyDestination, 1000); is || err != nil {
		t.Errorf("remove what never was: %v, %v", is, err)
	}
	for _, c := range []struct {
		before uint64
		want   int
	}{{0, 0}, {1, 0}, {3, 2}} {
		if n, err := b.PurgeLetters(deadline(t), anyDestination, c.before); n != c.want || err != nil {
			t.Errorf("purge before %d: %d, %v, want %d", c.before, n, err, c.want)
		}
	}
	if n, err := b.EraseLetters(deadline(t), anyDestination, someone(0)); n != 2 || err != nil {
		t.Errorf("erase: %d, %v", n, err)
	}
	want := []string{"3:letter id2", "6:letter id5", "8:letter id7", "9:letter id8"}
	if diff := cmp.Diff(want, lettersOf(t, b)); diff != "" {
		t.Error(diff)
	}
	st, err := b.LettersState(deadline(t), anyDestination)
	if err != nil || st.bytes == 0 {
		t.Errorf("state: %+v, %v", st, err)
	}
	st.bytes = 0
	if diff := cmp.Diff(state{first: 3, last: 9, events: 4}, st, cmp.AllowUnexported(state{})); diff != "" {
		t.Error(diff)
	}
	// After all of a visitor's letters went, the next is the first.
	addLetter(t, b, 0, "again")
	stop := errors.New("stop")
	if err := b.Letters(deadline(t), anyDestination, func(stored) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("visit's error: %v", err)
	}
}

func TestLetters(t *testing.T)       { letterContract(t, open(t, startServer(t).options())) }
func TestMemoryLetters(t *testing.T) { letterContract(t, newMemBroker().node("n")) }

func TestLettersRefuseWhatIsNoToken(t *testing.T) {
	j := newJetStream(Options{Servers: []string{"nats://127.0.0.1:1"}, Node: "n"})
	for destination, who := range map[string]string{"De": someone(1), "a.b": someone(2), "": someone(3), "default": "*"} {
		if _, err := j.EraseLetters(t.Context(), destination, who); err == nil || errors.Is(err, errNotReady) {
			t.Errorf("erase %q %q: %v", destination, who, err)
		}
		if err := j.AddLetter(t.Context(), destination, message{visitor: who}, "x", 0); err == nil || errors.Is(err, errNotReady) {
			t.Errorf("add %q %q: %v", destination, who, err)
		}
	}
	if _, err := j.PurgeLetters(t.Context(), "a.>", 2); err == nil || errors.Is(err, errNotReady) {
		t.Errorf("purge: %v", err)
	}
}

// A letter that no broker's answer can be about ends all the same.
func TestLetterTooLarge(t *testing.T) {
	j := open(t, startServer(t, "max_payload: 10000").options())
	big := message{someone(1), make([]byte, 20_000)}
	if err := j.AddLetter(deadline(t), anyDestination, big, "x", 0); !errors.Is(err, errTooLarge) {
		t.Errorf("%v, want errTooLarge", err)
	}
	addLetter(t, j, 1, "small")
}

// Many letters are read in several requests, and those of a full stream are the latest.
func TestLettersMany(t *testing.T) {
	o := startServer(t).options()
	o.MaxBytes = lanes * (8 << 20)
	j := open(t, o)
	payload := make([]byte, 30_000)
	for i := range 400 {
		if err := j.AddLetter(deadline(t), anyDestination, message{someone(i), payload}, fmt.Sprint(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	st, err := j.LettersState(deadline(t), anyDestination)
	if err != nil || st.last != 400 || st.events == 400 || st.bytes > 8<<20 {
		t.Errorf("state: %+v, %v", st, err)
	}
	next := st.first
	if err := j.Letters(deadline(t), anyDestination, func(s stored) error {
		if s.sequence != next || len(s.payload) != len(payload) {
			t.Fatalf("sequence %d, want %d", s.sequence, next)
		}
		next++
		return nil
	}); err != nil || next != 401 {
		t.Errorf("up to %d, %v", next, err)
	}
}
