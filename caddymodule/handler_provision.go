package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/time/rate"

	"github.com/intilery/caddy-intilery/caddymodule/internal/redact"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
)

// Provision sets the handler up. It does no I/O.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if h.Off {
		return nil
	}
	app, err := ctx.App("intilery")
	if err != nil {
		return fmt.Errorf("loading the app intilery: %w", err)
	}
	h.app = app.(*App)
	repl := caddy.NewReplacer()
	if h.varies = hasPlaceholder(h.Destination); !h.varies {
		if h.Destination, err = h.app.resolve(h.Destination); err != nil {
			return err
		}
	}
	h.Page = cmp.Or(h.Page, pageOn)
	h.ClientIP = cmp.Or(h.ClientIP, clientIPFull)
	h.NewVisitors = cmp.Or(h.NewVisitors, newImmediately)
	h.Cacheable = cmp.Or(h.Cacheable, cacheableSkip)
	h.Querystring = cmp.Or(h.Querystring, queryAllow)
	h.Revalidate = cmp.Or(h.Revalidate, revalidateOn)
	if h.bots, err = h.Bots.provision(repl); err != nil {
		return err
	}
	if err := h.provisionOrigins(repl); err != nil {
		return err
	}
	if err := h.provisionLogout(ctx); err != nil {
		return err
	}
	if err := h.Collect.provision(repl, h.logger); err != nil {
		return err
	}
	if h.Collect != nil {
		for _, d := range h.app.Destinations {
			if h.Collect.isServer(d.writeKey) {
				return errServerKeyPublic
			}
		}
	}
	if err := h.Collect.provisionTag(repl, h.app.dir, ctx.Slogger()); err != nil {
		return err
	}
	if h.Collect != nil && h.Collect.tag != nil {
		h.app.tags = append(h.app.tags, h.Collect.tag)
	}
	if len(h.MatcherSetsRaw) > 0 {
		sets, err := ctx.LoadModule(h, "MatcherSetsRaw")
		if err != nil {
			return fmt.Errorf("loading match: %w", err)
		}
		if err := h.matchers.FromInterface(sets); err != nil {
			return fmt.Errorf("loading match: %w", err)
		}
	}
	if err := h.Consent.provision(repl); err != nil {
		return err
	}
	for i := range h.Redact {
		if err := replace(repl, "redact", &h.Redact[i]); err != nil {
			return err
		}
	}
	for i := range h.RedactPaths {
		if err := replaceInRegexp(repl, "redact_path", &h.RedactPaths[i]); err != nil {
			return err
		}
	}
	if h.redact, err = redact.New(h.Redact, h.RedactPaths); err != nil {
		return err
	}
	h.erasing = &withdrawals{queue: h.app.queue, logger: h.logger}
	if h.cookies, err = h.Cookie.provision(repl); err != nil {
		return err
	}
	if h.keyless, err = cookie.NewResolver(h.cookies, nil); err != nil {
		return err
	}
	h.provisionParse()
	h.provisionWarnings()
	return nil
}

// Cleanup stops fetching the tag.
func (h *Handler) Cleanup() error {
	if h.Collect != nil && h.Collect.tag != nil {
		h.Collect.tag.Close()
	}
	return nil
}

// provisionWarnings bounds how often each warning is logged.
func (h *Handler) provisionWarnings() {
	h.panicLog = &rate.Sometimes{First: 1, Interval: time.Minute}
	h.warnings = make(map[string]*rate.Sometimes)
	for _, subject := range append(reserved.Names(), reserved.Other, warnClearSiteData, warnMatch, warnDestination) {
		h.warnings[subject] = &rate.Sometimes{First: 1, Interval: time.Minute}
	}
	for code := range collectFixes {
		h.warnings[warnCollect+code] = &rate.Sometimes{First: 1, Interval: time.Minute}
	}
	for cause := range proxyFixes {
		h.warnings[string(cause)] = &rate.Sometimes{First: 1, Interval: 24 * time.Hour}
	}
}

// Validate checks the options that Provision does not need.
func (h *Handler) Validate() error {
	if h.Off {
		return nil
	}
	if h.Page == pageAuto && h.Collect == nil {
		return errors.New("page auto: there is no collect block to which a tag could send; use on, or add collect <path>")
	}
	for _, o := range []struct {
		option, value string
		accepted      []string
	}{
		{"page", h.Page, []string{pageOn, pageOff, pageAuto}},
		{"client_ip", h.ClientIP, []string{clientIPFull, clientIPAnonymized, clientIPOff}},
		{"new_visitors", h.NewVisitors, []string{newImmediately, newReturning}},
		{"cacheable", h.Cacheable, []string{cacheableSkip, cacheablePrivate}},
		{"querystring", h.Querystring, []string{queryAllow, queryDrop, querySigned}},
		{"revalidate", h.Revalidate, []string{revalidateOn, revalidateOff}},
	} {
		if !slices.Contains(o.accepted, o.value) {
			return notAccepted(o.option, o.value, either(o.accepted))
		}
	}
	return nil
}
