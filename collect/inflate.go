package collect

import (
	"bytes"
	"errors"
	"net/http"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is how far back a zstd frame may refer. It takes no memory beside the
// text.
const maxWindow = 8 << 20

var gzips, zstds sync.Pool

// gunzip inflates the body (RFC 1952).
func (b *Body) gunzip(max int64) ([]byte, error) {
	z, _ := gzips.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer gzips.Put(z)
	if z.Reset(bytes.NewReader(b.Bytes)) != nil {
		return nil, unreadable
	}
	text, err := b.read(z, firstBytes, max)
	if err != nil && !errors.As(err, new(*Error)) {
		return nil, unreadable
	}
	return text, err
}

// unzstd inflates the body (RFC 8878).
func (b *Body) unzstd(max int64) ([]byte, error) {
	z, _ := zstds.Get().(*zstd.Decoder)
	if z == nil {
		var err error
		z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil { // only for options out of range
			return nil, &Error{Status: http.StatusUnsupportedMediaType, Code: "encoding", Message: "zstd is not available; use gzip"}
		}
	}
	defer zstds.Put(z)
	if !b.Grow(max) {
		return nil, busy
	}
	text, err := z.DecodeAll(b.Bytes, make([]byte, 0, max))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, tooLarge(max)
	case err != nil:
		return nil, unreadable
	}
	return text, nil
}
