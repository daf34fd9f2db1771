package collect

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, text string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll([]byte(text), nil)
}

// request has a body whose length is not known, as with chunks.
func request(body io.Reader, coding string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", struct{ io.Reader }{body})
	if coding != "" {
		r.Header.Set("Content-Encoding", coding)
	}
	return r
}

func TestReadBody(t *testing.T) {
	const max = 100 << 10
	text := strings.Repeat(`{"a":1} `, 1000)
	full := strings.Repeat("x", max)
	bomb := strings.Repeat("\x00", 10<<20)
	for _, test := range []struct {
		name, coding string
		body         []byte
		want         string // body, or the error's code
	}{
		{"plain", "", []byte(text), strings.TrimSpace(text)},
		{"identity", "identity", []byte("{}"), "{}"},
		{"byte order mark and space", "", []byte("\xef\xbb\xbf {} \n"), "{}"},
		{"gzip", "gzip", gzipped(t, text), strings.TrimSpace(text)},
		{"GZIP", " GZip ", gzipped(t, text), strings.TrimSpace(text)},
		{"zstd", "zstd", zstded(t, text), strings.TrimSpace(text)},
		{"as large as may be", "", []byte(full), full},
		{"as large as may be, gzip", "gzip", gzipped(t, full), full},
		{"a byte more", "", []byte(full + "x"), "too_large"},
		{"a byte more, gzip", "gzip", gzipped(t, full+"x"), "too_large"},
		{"gzip bomb", "gzip", gzipped(t, bomb), "too_large"},
		{"zstd bomb", "zstd", zstded(t, bomb), "too_large"},
		{"gzip of nothing without end", "gzip", bytes.Repeat(gzipped(t, ""), 10_000), "too_large"},
		{"empty", "", nil, "empty"},
		{"blank", "", []byte(" \n"), "empty"},
		{"empty gzip", "gzip", nil, "empty"},
		{"gzip of nothing", "gzip", gzipped(t, ""), "empty"},
		{"no gzip", "gzip", []byte("{}"), "unreadable"},
		{"cut gzip", "gzip", gzipped(t, text)[:40], "unreadable"},
		{"no zstd", "zstd", []byte("{} and more"), "unreadable"},
		{"cut zstd", "zstd", zstded(t, text)[:20], "unreadable"},
		{"two codings", "gzip, gzip", gzipped(t, text), "encoding"},
		{"another coding", "br", []byte("{}"), "encoding"},
	} {
		t.Run(test.name, func(t *testing.T) {
			memory := semaphore.NewWeighted(1 << 20)
			body, err := ReadBody(request(bytes.NewReader(test.body), test.coding), max, memory)
			var got string
			if err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatal(err)
				}
				got = e.Code
			} else {
				got = string(body.Bytes)
				body.Release()
			}
			if got != test.want {
				t.Errorf("%.40q, want %.40q", got, test.want)
			}
			if !memory.TryAcquire(1 << 20) {
				t.Error("memory is not given back")
			}
		})
	}
}

// A length that is too great is refused without reading, a connection that breaks
// is an error, and without memory the client comes again.
func TestReadBodyRefuses(t *testing.T) {
	code := func(r *http.Request, m Memory) string {
		_, err := ReadBody(r, 1000, m)
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		return e.Code
	}
	memory := semaphore.NewWeighted(1 << 20)
	long := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(errors.New("read")))
	if long.ContentLength = 1001; code(long, memory) != "too_large" {
		t.Error("a length over the limit")
	}
	if got := code(request(iotest.ErrReader(io.ErrUnexpectedEOF), ""), memory); got != "unreadable" {
		t.Errorf("a broken connection: %q", got)
	}
	if got := code(request(strings.NewReader("{}"), ""), semaphore.NewWeighted(10)); got != "busy" {
		t.Errorf("no memory: %q", got)
	}
}

// A body takes memory as it comes, not as it may become.
func TestReadBodyGrows(t *testing.T) {
	memory := semaphore.NewWeighted(1 << 20)
	body, err := ReadBody(request(strings.NewReader("{}"), ""), 512<<10, memory)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Release()
	if !memory.TryAcquire(1<<20 - firstBytes) {
		t.Error("two bytes take more than the first step")
	}
}

// A body is inflated when all of it is here: one that says a lot and then stalls
// takes no more than what came. (A frame header of zstd can ask for a window of 8 MB.)
func TestReadBodyStalls(t *testing.T) {
	for coding, text := range map[string]string{"zstd": "\x28\xb5\x2f\xfd\x00\x68\x08\x00\x00a", "gzip": "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"} {
		memory := semaphore.NewWeighted(1 << 20)
		stalled := &stalling{text: text, stalled: make(chan struct{}), end: make(chan struct{})}
		done := make(chan error)
		go func() {
			r := request(stalled, coding)
			r.ContentLength = -1
			_, err := ReadBody(r, 512<<10, memory)
			done <- err
		}()
		<-stalled.stalled
		if !memory.TryAcquire(1<<20 - firstBytes) {
			t.Errorf("%s: more memory than one piece", coding)
		}
		close(stalled.end)
		var e *Error
		if err := <-done; !errors.As(err, &e) || e.Code != "timeout" || e.Status != http.StatusRequestTimeout {
			t.Errorf("%s: %v", coding, err)
		}
	}
}

// stalling is a client that sends a text and then nothing until its time is over.
type stalling struct {
	text         string
	stalled, end chan struct{}
}

func (s *stalling) Read(p []byte) (int, error) {
	if s.text == "" {
		close(s.stalled)
		<-s.end
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, s.text)
	s.text = s.text[n:]
	return n, nil
}

// What is inflated counts, and a decoder takes no memory of its own that grows.
func TestInflateAllocates(t *testing.T) {
	text := strings.Repeat(`{"a":"b"},`, 1000)
	for coding, body := range map[string][]byte{"gzip": gzipped(t, text), "zstd": zstded(t, text)} {
		const max = 64 << 10
		const runs = 20
		inflate := func() {
			got, err := ReadBody(request(bytes.NewReader(body), coding), max, semaphore.NewWeighted(1<<20))
			if err != nil || len(got.Bytes) != len(text) {
				t.Fatal(err)
			}
		}
		inflate() // the decoder is kept
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			inflate()
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > 3*max {
			t.Errorf("%s: %d bytes for %d", coding, n, len(text))
		}
	}
}

func FuzzReadBody(f *testing.F) {
	for _, coding := range []string{"", "gzip", "zstd"} {
		f.Add(coding, []byte("{}"))
		f.Add(coding, gzipped(f, `{"a":"b"}`))
		f.Add(coding, zstded(f, `{"a":"b"}`))
	}
	f.Fuzz(func(t *testing.T, coding string, sent []byte) {
		memory := semaphore.NewWeighted(1 << 20)
		r := request(bytes.NewReader(sent), "")
		r.Header["Content-Encoding"] = []string{coding}
		body, err := ReadBody(r, 1000, memory)
		if err == nil {
			if n := len(body.Bytes); n > 1000 || n == 0 {
				t.Errorf("%d bytes", n)
			}
			body.Release()
		}
		if !memory.TryAcquire(1 << 20) {
			t.Error("memory is not given back")
		}
	})
}
