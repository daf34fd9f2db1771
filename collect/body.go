package collect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// Memory bounds what all bodies take together, in bytes.
type Memory interface {
	TryAcquire(n int64) bool
	Release(n int64)
}

// firstBytes is what a body is given before anything of it has come; it is doubled
// as it comes, so that a client that sends nothing takes little.
const firstBytes = 4 << 10

// Body is a body that was read, and the memory that it takes.
type Body struct {
	Bytes  []byte
	memory Memory
	taken  int64
}

// Grow takes n more bytes of memory, for what is made of the body, and reports
// whether there are as many.
func (b *Body) Grow(n int64) bool {
	if n > 0 && !b.memory.TryAcquire(n) {
		return false
	}
	b.taken += n
	return true
}

// Release gives the memory back.
func (b *Body) Release() { b.memory.Release(b.taken) }

// ReadBody reads a request's body and inflates it (gzip, zstd), up to max bytes. The
// content type does not matter: browsers send text/plain to avoid a preflight. The
// caller releases the body; after an error, which is an *Error, there is none.
//
// All of a body is here before it is inflated, so that no decoder waits for a client.
func ReadBody(r *http.Request, max int64, m Memory) (*Body, error) {
	body := &Body{memory: m}
	err := body.load(r, max)
	if err != nil {
		body.Release()
		return nil, err
	}
	return body, nil
}

func (b *Body) load(r *http.Request, max int64) error {
	inflate, err := decoderOf(r.Header)
	switch {
	case err != nil:
		return err
	case r.ContentLength > max:
		return tooLarge(max)
	}
	first := int64(firstBytes)
	if 0 < r.ContentLength && r.ContentLength < first {
		first = r.ContentLength + 1 // and the end is seen without more
	}
	if b.Bytes, err = b.read(r.Body, first, max); err != nil {
		return readError(err)
	}
	if inflate != nil && len(b.Bytes) > 0 {
		if b.Bytes, err = inflate(b, max); err != nil {
			return err
		}
	}
	if b.Bytes = bytes.TrimSpace(bytes.TrimPrefix(b.Bytes, bom)); len(b.Bytes) == 0 {
		return &Error{Status: http.StatusBadRequest, Code: "empty", Message: "the body is empty; send JSON"}
	}
	return nil
}

// readError says why a body could not be read.
func readError(err error) error {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, new(*Error)):
		return err
	case errors.As(err, &tooLong): // of a handler in front
		return tooLarge(tooLong.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Status: http.StatusRequestTimeout, Code: "timeout", Message: "the body did not come in time; send it again"}
	}
	return unreadable
}

// read reads to the end. Its first piece of memory has as many bytes as first says.
func (b *Body) read(from io.Reader, first, max int64) (buf []byte, err error) {
	for {
		if len(buf) == cap(buf) {
			have, size := int64(cap(buf)), min(max+1, first)
			if have > 0 {
				size = min(max+1, 2*have)
			}
			if !b.Grow(size - have) {
				return nil, busy
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > max:
			return nil, tooLarge(max)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// bom begins a text in UTF-8 that some clients mark as such.
var bom = []byte("\xef\xbb\xbf")

func tooLarge(max int64) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Code: codeTooLarge, Message: fmt.Sprintf("the body is over %d bytes, inflated", max)}
}

var (
	unreadable = &Error{Status: http.StatusBadRequest, Code: "unreadable", Message: "the body ends early or is not encoded as Content-Encoding says"}
	busy       = &Error{Status: http.StatusTooManyRequests, Code: "busy", Message: "too many bodies at once; send it again", RetryAfter: 1}
)

// decoderOf returns what inflates a body of that Content-Encoding (RFC 9110, 8.4),
// nil for one that is as it is. One coding is taken.
func decoderOf(h http.Header) (func(b *Body, max int64) ([]byte, error), error) {
	switch strings.ToLower(strings.TrimSpace(strings.Join(h["Content-Encoding"], ","))) {
	case "", "identity":
		return nil, nil
	case "gzip", "x-gzip":
		return (*Body).gunzip, nil
	case "zstd":
		return (*Body).unzstd, nil
	}
	return nil, &Error{Status: http.StatusUnsupportedMediaType, Code: "encoding", Message: "Content-Encoding is not accepted; use gzip, zstd or none"}
}
