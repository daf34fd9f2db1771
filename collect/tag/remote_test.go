package tag

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// vendor is a source of a script, without a network: it runs in a synctest bubble.
type vendor struct {
	mu     sync.Mutex
	answer func(*http.Request) (*http.Response, error)
	asked  int
}

func (v *vendor) RoundTrip(r *http.Request) (*http.Response, error) {
	v.mu.Lock()
	v.asked++
	answer := v.answer
	v.mu.Unlock()
	return answer(r)
}

// does changes the answer, and returns how often the vendor was asked until now.
func (v *vendor) does(answer func(*http.Request) (*http.Response, error)) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = answer
	return v.asked
}

func (v *vendor) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

func answer(status int, contentType, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.WriteString(body)
		resp := w.Result()
		resp.Request = r
		return resp, nil
	}
}

func down(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

// slow answers after the time that a client has for it.
func slow(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

const vendorURL = "https://cdn.example/js/key/analytics.js"

func fromVendor(t *testing.T, v *vendor, dir string, logger *slog.Logger) *Server {
	t.Helper()
	s, err := New(Config{Source: vendorURL, CacheDir: dir, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	m, ok := s.source.(*remote)
	if !ok {
		t.Fatalf("source is %T", s.source)
	}
	m.client.Transport = v
	return s
}

// served returns the script, or its status if it is not 200.
func served(t *testing.T, s *Server) string {
	t.Helper()
	resp := ask(t, s, http.MethodGet, place("s.js"))
	if resp.StatusCode != 200 {
		return fmt.Sprint(resp.StatusCode)
	}
	return text(t, resp)
}

func TestRemoteBeforeTheFirstCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vendor{answer: slow}
		s := fromVendor(t, v, t.TempDir(), slog.New(slog.DiscardHandler))
		defer s.Close()
		if n := v.count(); n != 0 {
			t.Errorf("asked %d times before Start", n)
		}
		s.Start()
		synctest.Wait()
		began := time.Now()
		resp := ask(t, s, http.MethodGet, place("s.js"))
		if resp.StatusCode != 503 || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != javaScript {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("the visitor waited %v", waited)
		}
		if got := text(t, ask(t, s, http.MethodGet, place("projects/a/settings"))); !strings.Contains(got, "shop.example/p") {
			t.Errorf("settings: %s", got)
		}
		v.does(answer(200, "application/javascript", `"api.segment.io/v1"`))
		time.Sleep(fetchTimeout + firstRetry + time.Second)
		if got := served(t, s); got != `"shop.example/p"` {
			t.Errorf("got %s", got)
		}
	})
}

func TestRemoteFaults(t *testing.T) {
	for name, fault := range map[string]func(*http.Request) (*http.Response, error){
		"down":          down,
		"slow":          slow,
		"error":         answer(500, "text/javascript", "oops()"),
		"gone":          answer(404, "text/javascript", "oops()"),
		"not modified":  answer(304, "", ""),
		"HTML":          answer(200, "text/html", "<html>"),
		"HTML as JS":    answer(200, "text/javascript", "\n<!doctype html>"),
		"no type":       answer(200, "", "oops()"),
		"JSON":          answer(200, "application/json", "{}"),
		"empty":         answer(200, "text/javascript", ""),
		"too large":     answer(200, "text/javascript", strings.Repeat("a", maxScript+1)),
		"not UTF-8":     answer(200, "text/javascript", "\xff"),
		"redirect away": answer(302, "", "", "Location", "http://cdn.example/"),
		"redirect loop": answer(302, "", "", "Location", vendorURL),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				v := &vendor{answer: fault}
				s := fromVendor(t, v, "", slog.New(slog.NewTextHandler(&log, nil)))
				s.Start()
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := served(t, s); got != "503" {
					t.Errorf("without a copy: %s", got)
				}
				v.does(answer(200, "text/javascript; charset=utf-8", "good()"))
				time.Sleep(revalidation + fetchTimeout)
				synctest.Wait()
				if got := served(t, s); got != "good()" {
					t.Errorf("after the fault: %s", got)
				}
				if name != "not modified" { // that is one if there is a copy
					before := v.does(fault)
					time.Sleep(time.Hour)
					synctest.Wait()
					if got := served(t, s); got != "good()" {
						t.Errorf("with a copy: %s", got)
					}
					if n := v.count() - before; n < 5 || n > 100 {
						t.Errorf("asked %d times in an hour", n)
					}
				}
				s.Close()
				faults := strings.Count(log.String(), "level=WARN")
				if ends := strings.Count(log.String(), "level=INFO"); faults > 2 || ends != 1 {
					t.Errorf("log:\n%s", log.String())
				}
			})
		})
	}
}

func TestRemoteRevalidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		v := &vendor{answer: func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.Header.Get("If-None-Match")+" "+r.Header.Get("If-Modified-Since"))
			if r.Header.Get("If-None-Match") == `"1"` {
				return answer(304, "", "")(r)
			}
			return answer(200, "text/javascript", "one()", "ETag", `"1"`, "Last-Modified", "then")(r)
		}}
		s := fromVendor(t, v, "", slog.New(slog.DiscardHandler))
		s.Start()
		time.Sleep(2*revalidation + time.Second)
		synctest.Wait()
		if got := strings.Join(asked, ","); got != ` ,"1" then,"1" then` {
			t.Errorf("asked: %s", got)
		}
		if got := served(t, s); got != "one()" {
			t.Errorf("got %s", got)
		}
		v.does(answer(200, "text/javascript", "two()", "ETag", `"2"`))
		time.Sleep(revalidation)
		synctest.Wait()
		if got := served(t, s); got != "two()" {
			t.Errorf("changed: %s", got)
		}
		s.Close()
		before := v.count()
		time.Sleep(time.Hour)
		if n := v.count(); n != before {
			t.Errorf("asked %d times after Close", n-before)
		}
	})
}

// The copy outlives a restart, and a broken one only costs a fetch.
func TestRemoteCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir() + "/made"
		v := &vendor{answer: answer(200, "text/javascript", "one()", "ETag", `"1"`)}
		first := fromVendor(t, v, dir, slog.New(slog.DiscardHandler))
		first.Start()
		synctest.Wait()
		first.Close()

		v.does(slow)
		second := fromVendor(t, v, dir, slog.New(slog.DiscardHandler))
		second.Start()
		synctest.Wait()
		if got := served(t, second); got != "one()" {
			t.Errorf("after a restart: %s", got)
		}
		second.Close()

		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%v %v", entries, err)
		}
		path := dir + "/" + entries[0].Name()
		for _, broken := range []string{"", "{", "{}", `{"url":"https://other.example/","text":"other()"}`} {
			write(t, path, broken)
			v.does(answer(200, "text/javascript", "three()"))
			s := fromVendor(t, v, dir, slog.New(slog.DiscardHandler))
			s.Start()
			synctest.Wait()
			if got := served(t, s); got != "three()" {
				t.Errorf("%q: %s", broken, got)
			}
			s.Close()
		}
	})
}

func TestRemoteCacheCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := t.TempDir() + "/file"
		write(t, file, "")
		v := &vendor{answer: answer(200, "text/javascript", "one()")}
		s := fromVendor(t, v, file+"/dir", slog.New(slog.DiscardHandler))
		s.Start()
		synctest.Wait()
		if got := served(t, s); got != "one()" {
			t.Errorf("got %s", got)
		}
		s.Close()
	})
}

// What a request says of its host goes into the script, so it must be a host.
func TestRemoteHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vendor{answer: answer(200, "text/javascript", `"https://api.segment.io/v1"`)}
		s := fromVendor(t, v, "", slog.New(slog.DiscardHandler))
		s.Start()
		defer s.Close()
		synctest.Wait()
		for _, host := range []string{"", `a"b`, "a'b", "a`b", "a\\b", "a/b", "a b", "a\nb", "${x}", "<x>"} {
			at := place("s.js")
			at.Host = host
			if resp := ask(t, s, http.MethodGet, at); resp.StatusCode != 400 || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q: %d %v", host, resp.StatusCode, resp.Header)
			}
		}
		for _, host := range []string{"shop.example", "shop.example:8443", "[::1]:80", "xn--bcher-kva.example"} {
			at := place("s.js")
			at.Host = host
			if got := text(t, ask(t, s, http.MethodGet, at)); got != `"https://`+host+`/p"` {
				t.Errorf("%q: %s", host, got)
			}
		}
	})
}

// Over a real connection, with a redirect.
func TestRemoteOverHTTP(t *testing.T) {
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old.js" {
			http.Redirect(w, r, "/new.js", http.StatusMovedPermanently)
			return
		}
		w.Header().Set("Content-Type", "application/javascript")
		_, _ = io.WriteString(w, "real()")
	}))
	defer vendor.Close()
	m, ok := open(t, Config{Source: vendor.URL + "/old.js"}).source.(*remote)
	if !ok {
		t.Fatal("not a remote source")
	}
	got, err := m.fetch(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != "real()" || got.URL != vendor.URL+"/old.js" {
		t.Errorf("got %+v", got)
	}
}

func TestCloseWithoutStart(t *testing.T) {
	for _, source := range []string{Next, vendorURL} {
		s, err := New(Config{Source: source})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		s.Close()
		s.Start() // too late: begins nothing
	}
}
