package collect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Memory bounds what all bodies take together, in bytes.
type Memory interface {
	TryAcquire(n int64) bool
	Release(n int64)
}

const (
	// firstBytes is what a body is given before anything of it has come; it is
	// doubled as it comes, so that a client that sends nothing takes little.
	firstBytes = 4 << 10
	// maxWindow bounds what the zstd decoder of one body takes.
	maxWindow = 8 << 20
)

// ReadBody reads a request's body and inflates it (gzip, zstd), up to max bytes. The
// content type does not matter: browsers send text/plain to avoid a preflight. The
// caller releases the body; after an error, which is an *Error, there is none.
func ReadBody(r *http.Request, max int64, m Memory) (Body, error) {
	if r.ContentLength > max {
		return Body{}, tooLarge(max)
	}
	in := &bounded{r: r.Body, left: max}
	from, closed, err := inflate(r, in)
	if err != nil {
		return Body{}, err
	}
	defer closed()
	first := int64(firstBytes)
	if from == io.Reader(in) && 0 < r.ContentLength && r.ContentLength < first {
		first = r.ContentLength + 1 // and the end is seen without more
	}
	body := Body{memory: m}
	buf, err := body.read(from, min(first, max+1), max)
	if err == nil {
		if body.Bytes = bytes.TrimSpace(bytes.TrimPrefix(buf, bom)); len(body.Bytes) > 0 {
			return body, nil
		}
		err = &Error{Status: http.StatusBadRequest, Code: "empty", Message: "the body is empty; send JSON"}
	}
	body.Release()
	return Body{}, err
}

// Body is a body that was read, and the memory that it takes.
type Body struct {
	Bytes  []byte
	memory Memory
	taken  int64
}

// Release gives the memory back.
func (b *Body) Release() { b.memory.Release(b.taken) }

// read reads to the end, first into as many bytes as size says.
func (b *Body) read(from io.Reader, size, max int64) ([]byte, error) {
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			if buf != nil {
				size = min(2*size, max+1)
			}
			if !b.memory.TryAcquire(size - b.taken) {
				return nil, &Error{Status: http.StatusTooManyRequests, Code: "busy", Message: "too many bodies at once; send it again", RetryAfter: 1}
			}
			b.taken = size
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > max || errors.Is(err, errTooLong):
			return nil, tooLarge(max)
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return nil, &Error{Status: http.StatusBadRequest, Code: "unreadable", Message: "the body ends early or is not encoded as Content-Encoding says"}
		}
	}
}

// bom begins a text in UTF-8 that some clients mark as such.
var bom = []byte("\xef\xbb\xbf")

func tooLarge(max int64) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Code: codeTooLarge, Message: fmt.Sprintf("the body is over %d bytes, inflated", max)}
}

// bounded ends with errTooLong where more comes than a body can inflate from.
type bounded struct {
	r    io.Reader
	left int64
}

var errTooLong = errors.New("body too long")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLong
	}
	return n, err
}

var gzips, zstds sync.Pool

// inflate returns a reader of what Content-Encoding has encoded (RFC 9110, 8.4). One
// coding is taken, and none means as it is.
func inflate(r *http.Request, in io.Reader) (from io.Reader, closed func(), err error) {
	coding := strings.ToLower(strings.TrimSpace(strings.Join(r.Header["Content-Encoding"], ",")))
	switch coding {
	case "", "identity":
		return in, func() {}, nil
	case "gzip", "x-gzip":
		z, _ := gzips.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if err := z.Reset(in); err != nil {
			gzips.Put(z)
			if errors.Is(err, io.EOF) {
				return nil, nil, &Error{Status: http.StatusBadRequest, Code: "empty", Message: "the body is empty; send JSON"}
			}
			return nil, nil, &Error{Status: http.StatusBadRequest, Code: "unreadable", Message: "the body is not gzip, as Content-Encoding says"}
		}
		return z, func() { gzips.Put(z) }, nil
	case "zstd":
		z, _ := zstds.Get().(*zstd.Decoder)
		if z == nil {
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil { // only for options out of range
				return nil, nil, &Error{Status: http.StatusUnsupportedMediaType, Code: "encoding", Message: "zstd is not available; use gzip"}
			}
		}
		if err := z.Reset(in); err != nil {
			return nil, nil, &Error{Status: http.StatusBadRequest, Code: "unreadable", Message: "the body is not zstd, as Content-Encoding says"}
		}
		return z, func() {
			if z.Reset(nil) == nil {
				zstds.Put(z)
			}
		}, nil
	}
	return nil, nil, &Error{Status: http.StatusUnsupportedMediaType, Code: "encoding", Message: "Content-Encoding is not accepted; use gzip, zstd or none"}
}
