package tracking

import (
	"io"
	"sync"
)

// source lends a payload to the transport for the time of one attempt. An
// http.Transport may go on reading a request's body after the answer has come;
// release makes sure that it no longer reads the caller's bytes by then.
type source struct {
	mu       sync.Mutex
	data     []byte
	released bool
}

func (s *source) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data, s.released = nil, true
}

func (s *source) reader() io.ReadCloser { return &sourceReader{src: s} }

type sourceReader struct {
	src *source
	off int
}

func (r *sourceReader) Read(p []byte) (int, error) {
	r.src.mu.Lock()
	defer r.src.mu.Unlock()
	if r.src.released {
		return 0, io.ErrClosedPipe
	}
	if r.off >= len(r.src.data) {
		return 0, io.EOF
	}
	n := copy(p, r.src.data[r.off:])
	r.off += n
	return n, nil
}

func (r *sourceReader) Close() error { return nil }

// Interface guards
var _ io.ReadCloser = (*sourceReader)(nil)
