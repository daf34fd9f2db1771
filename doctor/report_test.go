package doctor

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// A report names what a site sent, and nothing of that reaches the terminal but
// text.
func TestHostileReport(t *testing.T) {
	r := &Report{site: "https://a.example/\x1b[2J", lifetimes: lifetimesOf(ownCookies{}, false, time.Time{})}
	r.add(problem, "DNS\t\x1b", "x\r", "alias of %s", "\x1b]0;x\x07\n\u202egnp\u2066\u009b31m\xff")
	r.add(problem, "DNS\t\x1b", "x\r", "alias of %s", "\x1b]0;x\x07\n\u202egnp\u2066\u009b31m\xff")
	r.add(note, "long", "", "%s %d", strings.Repeat("ä", 1000), 7)
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := "https://a.example/?[2J\n\n" +
		"problem  DNS??  alias of ?]0;x???gnp??31m\uFFFD\n" +
		"                fix: x?\n" +
		"note     long   " + strings.Repeat("ä", maxShown) + "... 7\n\nbrowser "
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("printed\n%q\nwant\n%q", out.String(), want)
	}
	if n := r.Problems(); n != 1 {
		t.Errorf("%d problems, want the one that was found twice", n)
	}
}

func TestHostileError(t *testing.T) {
	inner := errors.New("malformed MIME header line: \x1b[2J" + strings.Repeat("a", 2*maxAddress))
	err := error(printableError{inner})
	if !errors.Is(err, inner) || !strings.HasPrefix(err.Error(), "malformed MIME header line: ?[2Ja") || len(err.Error()) > maxAddress+3 {
		t.Errorf("error %.100q of %d bytes", err, len(err.Error()))
	}
}

// wire is a server that sends bytes, first these and then those.
type wire struct{ first, rest []byte }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := w.first
	w.first = w.rest
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(sent)), r)
}

// Whatever a site and a name server send, a report is short and printable, and
// shows no value of ours.
func FuzzExamine(f *testing.F) {
	const html = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: text/html\r\n"
	for _, header := range []string{
		"Set-Cookie: intilery_keeper=SECRET; Path=/; Domain=example.com; Max-Age=31536000; HttpOnly; Secure\r\nSet-Cookie: ajs_anonymous_id=%22SECRET%22; Path=/\x1b[2J; Domain=\u202e.example.com\r\n",
		"Set-Cookie: intilery_keeper=SECRET; Domain=\x1b]0;x\x07\r\nCache-Control: public, max-age=60, \"\x9b31m\"\r\nVary: Cookie\r\n",
		"Intilery-Track: SECRET\r\nIntilery-\u202eX: SECRET\r\nClear-Site-Data: \"cookies\"\r\nStrict-Transport-Security: max-age=\r\n",
		"Content-Type: \x1b[2J\x00\u2028\r\nAge: 5\r\nCf-Ray: \x1b\r\n",
		"\x1b[2J: a\r\n", "\x1b[2J\r\n",
	} {
		f.Add([]byte(html+header+"\r\n"), []byte(html+"\r\n"), "\x1b.example.net")
	}
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: http://\u009b.example/?\u009b\r\nContent-Length: 0\r\n\r\n"), []byte(html+"\r\n"), "a\n.example.net")
	f.Add([]byte("HTTP/1.1 302 Found\r\nLocation: //www.example.com/\u202e\r\nContent-Length: 0\r\n\r\n"), []byte("\x1b[2J"), "")
	f.Add([]byte("HTTP/1.1 200 \x1b\r\nTransfer-Encoding: chunked\r\nTrailer: Intilery-Page\r\n\r\n0\r\nIntilery-Page: SECRET\r\n\r\n"), []byte("HTTP/1.1 500\r\n\r\n"), "x")
	site, _ := SiteURL("https://alias.example.com")
	page, _ := SiteURL("https://www.example.com")
	f.Fuzz(func(t *testing.T, first, rest []byte, alias string) {
		if len(first)+len(rest)+len(alias) > 1<<16 {
			t.Skip()
		}
		d := &Doctor{Resolver: zone{"alias.example.com": {"192.0.2.1", "=" + alias}, "www.example.com": {"192.0.2.2"}}, Transport: &wire{first, rest}}
		r, err := d.Examine(t.Context(), site, page)
		var out bytes.Buffer
		if err != nil {
			io.WriteString(&out, err.Error())
		} else if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 32<<10 || !utf8.Valid(out.Bytes()) {
			t.Errorf("%d bytes, UTF-8 %t", out.Len(), utf8.Valid(out.Bytes()))
		}
		for _, c := range out.String() {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Fatalf("%U is printed: %q", c, &out)
			}
		}
	})
}
