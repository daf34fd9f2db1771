package cookie

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Sets reports whether a Set-Cookie line is of one of the resolver's cookies.
func (rv *Resolver) Sets(line string) bool {
	name, _, _ := strings.Cut(line, "=")
	return name == rv.cfg.Name || name == rv.cfg.KeeperName || name == rv.deferralName
}

// setter collects the Set-Cookie values of one response. Every part of them is
// ours or was validated: names and domain by the configuration and the host's
// syntax, IDs by validID, the keeper by its encoding.
type setter struct {
	rv      *Resolver
	scope   scope
	secure  bool
	now     time.Time
	cookies []string

	// The date of the last cookie, because most have the same.
	life time.Duration
	date [len(http.TimeFormat)]byte
}

func (rv *Resolver) setter(r Request) *setter {
	return &setter{rv: rv, scope: rv.scope(r.Host), secure: r.Secure, now: r.Now}
}

// set writes the cookie in the resolver's scope.
func (w *setter) set(name, value string, httpOnly bool) {
	w.add(name, value, w.scope.domain, w.rv.cfg.MaxAge, httpOnly)
}

// expire removes the cookie from the given scopes.
func (w *setter) expire(name string, domains []string, httpOnly bool) {
	for _, domain := range domains {
		w.add(name, "", domain, 0, httpOnly)
	}
}

func (w *setter) add(name, value, domain string, life time.Duration, httpOnly bool) {
	b := make([]byte, 0, 512)
	b = append(b, name...)
	b = append(b, '=')
	b = append(b, value...)
	b = append(b, "; Path=/"...)
	if domain != "" {
		b = append(b, "; Domain="...)
		b = append(b, domain...)
	}
	// Max-Age wins where both are understood, and does not depend on the
	// browser's clock. Expires is for what is older.
	b = append(b, "; Expires="...)
	if life > 0 {
		if life != w.life {
			w.life = life
			w.now.Add(life).UTC().AppendFormat(w.date[:0], http.TimeFormat)
		}
		b = append(b, w.date[:]...)
	} else {
		b = append(b, "Thu, 01 Jan 1970 00:00:01 GMT"...)
	}
	b = append(b, "; Max-Age="...)
	b = strconv.AppendInt(b, int64(life/time.Second), 10)
	if httpOnly {
		b = append(b, "; HttpOnly"...)
	}
	if w.secure {
		b = append(b, "; Secure"...)
	}
	if w.secure && w.rv.cfg.SameSite == SameSiteNone {
		b = append(b, "; SameSite=None"...)
	} else {
		b = append(b, "; SameSite=Lax"...)
	}
	if w.cookies == nil {
		w.cookies = make([]string, 0, 2) // the readable one and the keeper
	}
	w.cookies = append(w.cookies, string(b))
}

// setReadable writes the readable cookie, and removes a twin of it.
func (w *setter) setReadable(id string, s *seen) {
	cfg := &w.rv.cfg
	if cfg.KeeperOnly {
		return
	}
	if s.readables > 1 {
		w.expire(cfg.Name, w.scope.others(), false)
	}
	w.set(cfg.Name, cfg.Dialect.format(id), false)
}

// setKeeper seals and writes the keeper, and removes a twin of it.
func (w *setter) setKeeper(k *keeper, s *seen) {
	cfg := &w.rv.cfg
	if s.keepers > 1 {
		w.expire(cfg.KeeperName, w.scope.others(), true)
	}
	w.set(cfg.KeeperName, w.rv.keys.seal(k.encode(), cfg.KeeperName, w.scope.site), true)
}

// expireReadable removes the readable cookie from every scope.
func (w *setter) expireReadable() {
	if !w.rv.cfg.KeeperOnly {
		w.expire(w.rv.cfg.Name, w.scope.all(), false)
	}
}

// expireKeeper removes the keeper from every scope.
func (w *setter) expireKeeper() {
	w.expire(w.rv.cfg.KeeperName, w.scope.all(), true)
}
