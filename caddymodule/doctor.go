package caddymodule

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/intilery/caddy-intilery/cookie"
)

// doctor looks at a site as a browser that comes for the first time does, and
// says what browsers will do to its identity cookies. It reads and reports; it
// needs neither the site's configuration nor its server.
type doctor struct {
	resolver  hostResolver
	transport http.RoundTripper
	cookies   cookie.Config // the site's names and domain
	now       func() time.Time
}

// hostResolver is what the doctor needs of a *net.Resolver.
type hostResolver interface {
	LookupCNAME(ctx context.Context, host string) (string, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// verdict is how much a finding matters.
type verdict string

const (
	fine    verdict = "ok"
	note    verdict = "note"
	problem verdict = "problem"
)

// finding is one thing the doctor saw.
type finding struct {
	verdict verdict
	topic   string
	text    string
	mend    string // what to do about it, "" for nothing
}

// report is what the doctor says of a site.
type report struct {
	site     string
	findings []finding
	browsers []browserLife
}

func (r *report) add(v verdict, topic, mend, format string, args ...any) {
	r.findings = append(r.findings, finding{v, topic, fmt.Sprintf(format, args...), mend})
}

// problems counts the findings that lose identities.
func (r *report) problems() (n int) {
	for _, f := range r.findings {
		if f.verdict == problem {
			n++
		}
	}
	return n
}

// examine looks at a site. page is the address of the pages that the site's
// answers belong to: the same, unless the module serves another host than the
// pages'. An error means that there is nothing to say.
func (d *doctor) examine(ctx context.Context, site, page *url.URL) (*report, error) {
	jar, err := cookie.NewJar(d.cookies, nil)
	if err != nil {
		return nil, err
	}
	r := &report{site: site.Redacted()}
	d.scheme(r, site)
	d.scope(r, site, jar)
	capped := d.dns(ctx, r, site.Hostname(), page.Hostname())
	seen, err := d.visit(ctx, r, site, jar)
	if err != nil {
		return nil, err
	}
	r.browsers = livesOf(seen, capped, d.now())
	return r, nil
}

func (d *doctor) scheme(r *report, site *url.URL) {
	if site.Scheme == "https" {
		r.add(fine, "HTTPS", "", "the cookies are Secure, and browsers say which requests are navigations")
		return
	}
	r.add(problem, "HTTPS", "serve the site over HTTPS and redirect to it",
		"plain HTTP: anyone on the way can read and replace the cookies, and no browser says which requests are navigations")
}

// write prints the report.
func (r *report) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\n\n", forTerminal(r.site))
	for _, f := range r.findings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.verdict, f.topic, forTerminal(f.text))
		if f.mend != "" {
			fmt.Fprintf(t, "\t\tmend: %s\n", forTerminal(f.mend))
		}
	}
	fmt.Fprintf(t, "\nbrowser\tkeeper\treadable cookie\n")
	for _, b := range r.browsers {
		fmt.Fprintf(t, "%s\t%s\t%s\n", b.name, b.keeper, b.readable)
	}
	return t.Flush()
}

// forTerminal takes out what a name server or a site could do to a terminal.
func forTerminal(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || 0x7f <= c && c < 0xa0 {
			return '?'
		}
		return c
	}, s)
}
