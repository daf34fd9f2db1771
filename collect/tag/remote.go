package tag

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intilery/caddy-intilery/internal/loopback"
)

const (
	// revalidation is the time between two looks at a script's source.
	revalidation = 10 * time.Minute
	// firstRetry is the pause after a look that failed. It doubles with each one,
	// up to revalidation.
	firstRetry = 5 * time.Second
	// fetchTimeout limits one fetch with all its redirects.
	fetchTimeout = 30 * time.Second
	maxRedirects = 3
)

// remote is a source: a URL, looked at in the background.
type remote struct {
	url       string
	cache     cache
	client    *http.Client
	logger    *slog.Logger
	condition condition
	current   atomic.Pointer[template] // nil before there is a first copy

	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{}
}

// parseSource returns the URL of a script, if it is one to fetch from.
func parseSource(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if err := fetchable(u); err != nil {
		return nil, fmt.Errorf("source %s: %w", u.Redacted(), err)
	}
	return u, nil
}

// fetchable refuses what anybody on the way could replace: a script runs in the
// name of the site.
func fetchable(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return errors.New("no host")
	case u.Scheme == "https", u.Scheme == "http" && loopback.Host(u.Hostname()):
		return nil
	}
	return errors.New("want https, or http of a loopback address")
}

func newRemote(u *url.URL, c Config) *remote {
	logger := c.Logger.With("url", u.Redacted())
	m := &remote{url: u.String(), logger: logger, condition: condition{logger: logger}, done: make(chan struct{})}
	if c.CacheDir != "" {
		m.cache.path = filepath.Join(c.CacheDir, "tag-"+digest(m.url)+".json")
	}
	m.client = &http.Client{Timeout: fetchTimeout, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return fetchable(r.URL)
	}}
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		m.client.Transport = t.Clone() // its idle connections end with this server
	}
	return m
}

func (m *remote) start() {
	m.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		m.cancel = cancel
		go m.run(ctx)
	})
}

func (m *remote) close() {
	m.once.Do(func() { close(m.done) }) // never started
	if m.cancel != nil {
		m.cancel()
	}
	<-m.done
	m.client.CloseIdleConnections()
}

// run keeps the copy fresh until ctx ends.
func (m *remote) run(ctx context.Context) {
	defer close(m.done)
	last, err := m.cache.load(m.url)
	if err != nil {
		m.logger.Warn("the saved copy of the tag's script cannot be read", "error", err)
	}
	if last != nil {
		m.current.Store(rewrite([]byte(last.Text)))
	}
	retry := firstRetry
	for {
		pause := revalidation
		next, err := m.fetch(ctx, last)
		if ctx.Err() != nil {
			return
		}
		m.condition.set(err)
		switch {
		case err != nil:
			pause = min(retry, revalidation)
			retry = min(2*retry, revalidation)
		case next != last:
			m.current.Store(rewrite([]byte(next.Text)))
			last = next
			if err := m.cache.store(next); err != nil {
				m.logger.Warn("the tag's script cannot be saved for the next start", "error", err)
			}
		}
		if err == nil {
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

var javaScriptTypes = []string{
	"text/javascript", "application/javascript", "application/x-javascript", "text/ecmascript", "application/ecmascript",
}

// fetch returns the script as it is now, which is last itself if it has not changed.
func (m *remote) fetch(ctx context.Context, last *scriptCopy) (*scriptCopy, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "caddy-intilery")
	if last != nil {
		if last.ETag != "" {
			r.Header.Set("If-None-Match", last.ETag)
		}
		if last.LastModified != "" {
			r.Header.Set("If-Modified-Since", last.LastModified)
		}
	}
	resp, err := m.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && last != nil {
		return last, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(javaScriptTypes, kind) {
		return nil, fmt.Errorf("content type %q, want JavaScript", resp.Header.Get("Content-Type"))
	}
	text, err := readScript(resp.Body)
	if err != nil {
		return nil, err
	}
	next := &scriptCopy{
		URL: m.url, ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"), Text: string(text),
	}
	if last != nil && *next == *last {
		return last, nil
	}
	return next, nil
}

func (m *remote) script(w http.ResponseWriter, r *http.Request, at Where) {
	t := m.current.Load()
	if t == nil {
		unavailable(w, http.StatusServiceUnavailable)
		return
	}
	serveRewritten(w, r, t, at)
}

func (*remote) file(http.ResponseWriter, *http.Request, Where, string) bool { return false }
