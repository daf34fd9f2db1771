package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/cookie"
)

// Each visitor is erased once, in order, again after an error, and the one who
// cannot be erased keeps nobody else from it.
func TestWithdrawals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var tries []string
		q := &withdrawals{logger: zap.NewNop(), erase: func(ctx context.Context, w cookie.Withdrawn) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > eraseLimit {
				t.Error("no limit")
			}
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, w.AnonymousID)
			switch n := len(tries); {
			case w.AnonymousID == "b" && n == 2, w.AnonymousID == "c":
				return errors.New("disk full")
			}
			return nil
		}}
		failed := counter(t, siteMetrics.withdrawals.WithLabelValues("failed"))
		start := time.Now()
		for _, id := range []string{"a", "b", "a", "c", "d"} {
			q.add(cookie.Withdrawn{AnonymousID: id})
		}
		if time.Since(start) != 0 {
			t.Error("add waits")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []string{"a", "b", "b", "c", "c", "c", "c", "c", "c", "d"}
		if !slices.Equal(tries, want) {
			t.Errorf("tries %v, want %v", tries, want)
		}
		if got := counter(t, siteMetrics.withdrawals.WithLabelValues("failed")) - failed; got != 1 {
			t.Errorf("%v failed, want 1", got)
		}
		q.add(cookie.Withdrawn{AnonymousID: "a"}) // and later again
		synctest.Wait()
		if !slices.Equal(tries, append(want, "a")) {
			t.Errorf("tries %v", tries)
		}
	})
}

func TestWithdrawalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		q := &withdrawals{logger: zap.NewNop(), erase: func(context.Context, cookie.Withdrawn) error {
			<-gate
			return nil
		}}
		before := counter(t, siteMetrics.withdrawals.WithLabelValues("overflow"))
		for n := range maxWithdrawals + 7 {
			q.add(cookie.Withdrawn{AnonymousID: fmt.Sprint(n)})
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
	erased := make(chan cookie.Withdrawn, 10)
	h.erasing = &withdrawals{logger: zap.NewNop(), erase: func(_ context.Context, w cookie.Withdrawn) error {
		erased <- w
		return nil
	}}
	first := httptest.NewRecorder()
	grant := answer(func(h http.Header) { document(h); h[headerConsent] = []string{"granted"} })
	if err := h.ServeHTTP(first, request(t, "document", nil), grant); err != nil {
		t.Fatal(err)
	}
	r := request(t, "document", first.Result().Header["Set-Cookie"])
	id := h.jar().Resolve(cookie.Request{Header: r.Header, Host: r.Host, Now: time.Now()}).AnonymousID
	r.Header.Set("Sec-Gpc", "1")
	if err := h.ServeHTTP(httptest.NewRecorder(), r, answer(document)); err != nil {
		t.Fatal(err)
	}
	if got := <-erased; got.AnonymousID != id || id == "" {
		t.Errorf("erased %+v, want %s", got, id)
	}
}
