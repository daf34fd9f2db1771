package tracking

import (
	"io"
	"sync"
)

// lent lends a payload to the transport for the time of one attempt. An
// http.Transport may go on reading a request's body after the answer has come;
// release makes sure that it no longer reads the caller's bytes by then.
type lent struct {
	mu       sync.Mutex
	data     []byte
	released bool
}

func (s *lent) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.released = nil, true
}

func (s *lent) reader() io.ReadCloser { return &lentReader{of: s} }

type lentReader struct {
	of  *lent
	off int
}

func (r *lentReader) Read(p []byte) (int, error) {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	if r.of.released {
		return 0, io.ErrClosedPipe
	}
	if r.off >= len(r.of.data) {
		return 0, io.EOF
	}
	n := copy(p, r.of.data[r.off:])
	r.off += n
	return n, nil
}

func (r *lentReader) Close() error { return nil }

// Interface guards
var _ io.ReadCloser = (*lentReader)(nil)
