package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/internal/faketime"
	"github.com/intilery/caddy-intilery/sandbox"
)

// erasing is a queue that can do nothing else.
type erasing func(ctx context.Context, anonymousID string) error

func (f erasing) Withdraw(ctx context.Context, anonymousID string) (bool, error) {
	err := f(ctx, anonymousID)
	return err == nil && anonymousID != "unneeded", err
}

// Each visitor is erased once, in order, again after an error, and the one who
// cannot be erased keeps nobody else from it.
func TestWithdrawals(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var tries []string
		q := &withdrawals{logger: zap.NewNop(), queue: erasing(func(ctx context.Context, id string) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > eraseLimit {
				t.Error("no limit")
			}
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, id)
			switch n := len(tries); {
			case id == "b" && n == 2, id == "c":
				return errors.New("disk full")
			}
			return nil
		})}
		failed := counter(t, siteMetrics.withdrawals.WithLabelValues("failed"))
		start := time.Now()
		unneeded := counter(t, siteMetrics.withdrawals.WithLabelValues("unneeded"))
		for _, id := range []string{"a", "b", "a", "c", "d", "unneeded"} {
			q.add(id)
		}
		if time.Since(start) != 0 {
			t.Error("add waits")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []string{"a", "b", "b", "c", "c", "c", "c", "c", "c", "d", "unneeded"}
		if !slices.Equal(tries, want) {
			t.Errorf("tries %v, want %v", tries, want)
		}
		if got := counter(t, siteMetrics.withdrawals.WithLabelValues("failed")) - failed; got != 1 {
			t.Errorf("%v failed, want 1", got)
		}
		if got := counter(t, siteMetrics.withdrawals.WithLabelValues("unneeded")) - unneeded; got != 1 {
			t.Errorf("%v unneeded, want 1", got)
		}
		q.add("a") // and later again
		synctest.Wait()
		if !slices.Equal(tries, append(want, "a")) {
			t.Errorf("tries %v", tries)
		}
	})
}

func TestWithdrawalsAreBounded(t *testing.T) {
	faketime.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		q := &withdrawals{logger: zap.NewNop(), queue: erasing(func(context.Context, string) error {
			<-gate
			return nil
		})}
		before := counter(t, siteMetrics.withdrawals.WithLabelValues("overflow"))
		for n := range maxWithdrawals + 7 {
			q.add(fmt.Sprint(n))
		}
		if got := counter(t, siteMetrics.withdrawals.WithLabelValues("overflow")) - before; got != 7 {
			t.Errorf("%v too many, want 7", got)
		}
		close(gate)
	})
}

// The one who is erased is the one whose keeper came.
func TestWithdrawalErases(t *testing.T) {
	h := newBenchHandler(t)
	h.Consent = &Consent{Header: true, GPC: signalHonour}
	erased := make(chan string, 10)
	h.erasing = &withdrawals{logger: zap.NewNop(), queue: erasing(func(_ context.Context, id string) error {
		erased <- id
		return nil
	})}
	first := httptest.NewRecorder()
	grant := answer(func(h http.Header) { document(h); h[reserved.Consent] = []string{"granted"} })
	if err := h.ServeHTTP(first, request(t, "document", nil), grant); err != nil {
		t.Fatal(err)
	}
	r := request(t, "document", first.Result().Header["Set-Cookie"])
	id := h.resolver().Resolve(cookie.Request{Cookies: r.Header["Cookie"], Host: r.Host, Now: time.Now()}).AnonymousID
	r.Header.Set("Sec-Gpc", "1")
	if err := h.ServeHTTP(httptest.NewRecorder(), r, answer(document)); err != nil {
		t.Fatal(err)
	}
	if got := <-erased; got != id || id == "" {
		t.Errorf("erased %q, want %q", got, id)
	}
}

// While Intilery is down two visitors come, and one withdraws: only the other's
// events arrive.
func TestWithdrawalBeforeDelivery(t *testing.T) {
	r := newRig(t)
	r.serve("intilery {\nconsent {\nheader\n}\n}\n" +
		"header Content-Type text/html\nroute {\nheader Intilery-Consent granted\nheader Intilery-Track Seen\nrespond hello\n}")
	r.sandbox.SetFault(sandbox.Fault503)
	erased := counter(t, siteMetrics.withdrawals.WithLabelValues("erased"))
	r.get("/stays")
	stays := r.cookies()["ajs_anonymous_id"]
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.client.Jar = jar
	r.get("/withdraws")
	r.get("/withdraws")
	r.get("/withdrawn", header("Sec-GPC", "1"))
	eventually(t, func() bool {
		return counter(t, siteMetrics.withdrawals.WithLabelValues("erased")) > erased
	}, func() string { return "not erased; log:\n" + r.log() })
	r.sandbox.SetFault(sandbox.FaultNone)
	for _, c := range r.calls(2) {
		if c.AnonymousID == "" || !strings.Contains(stays, c.AnonymousID) {
			t.Errorf("delivered %+v", c)
		}
	}
}

// One keeper that is replayed with a refusal costs one erasure.
func TestReplayedWithdrawal(t *testing.T) {
	r := newRig(t)
	r.load(r.global(`endpoint "http://127.0.0.1:1"`), "intilery {\nconsent {\nheader\n}\n}\nreverse_proxy "+newServer(t, http.HandlerFunc(echoing)))
	r.get("/page?Intilery-Consent=granted")
	var brought []string
	for name, value := range r.cookies() {
		brought = append(brought, name+"="+value)
	}
	count := func(outcome string) float64 { return counter(t, siteMetrics.withdrawals.WithLabelValues(outcome)) }
	erased, unneeded, failed := count("erased"), count("unneeded"), count("failed")
	done := func() float64 { return count("erased") - erased + count("unneeded") - unneeded }
	for n := range 20 {
		r.stranger().get("/page", headers("Sec-Gpc", "1", "Cookie", strings.Join(brought, "; ")))
		eventually(t, func() bool { return done() > float64(n) }, func() string { return fmt.Sprintf("%v withdrawals are done", done()) })
	}
	if got := count("erased") - erased; got != 1 || count("failed") != failed {
		t.Errorf("%v erasures, %v failed, want 1 and 0", got, count("failed")-failed)
	}
}
