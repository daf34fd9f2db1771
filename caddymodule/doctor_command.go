package caddymodule

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/cookie"
)

// doctorCommand is `caddy intilery doctor`.
func doctorCommand() *cobra.Command {
	var page string
	var cfg cookie.Config
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "doctor <url>",
		Short: "Says what browsers will do to a site's identity cookies, and how to mend it",
		Long: `
Looks at a site as a browser does: its name, its addresses, its certificate and
two visits to the given page, as a new visitor and as the same one again. It says
what each family of browsers will do to the cookies, and how to mend it.

The two visits are real ones: the site counts a visitor and two pages.

The exit code is 1 if there is a problem, or if the site cannot be reached.
`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&page, "page", "", "The address of the pages, where the module serves another host than theirs")
	cmd.Flags().StringVar(&cfg.Name, "name", "", "The name of the readable cookie, as in cookie { name }")
	cmd.Flags().StringVar(&cfg.KeeperName, "keeper-name", "", "The name of the keeper, as in cookie { keeper_name }")
	cmd.Flags().BoolVar(&cfg.KeeperOnly, "keeper-only", false, "There is no readable cookie, as in cookie { keeper_only }")
	cmd.Flags().StringVar(&cfg.Domain, "domain", "", "The cookies' domain, as in cookie { domain }")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "How long all of it may take")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.DisableKeepAlives = true
		d := &doctor{resolver: net.DefaultResolver, transport: transport, cookies: cfg, now: time.Now}
		run := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return d.run(ctx, cmd, args[0], page)
		})
		return run(cmd, args)
	}
	return cmd
}

// run examines a site and prints what there is to say.
func (d *doctor) run(ctx context.Context, cmd *cobra.Command, site, page string) (int, error) {
	at, err := siteURL(site)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	pages := at
	if page != "" {
		if pages, err = siteURL(page); err != nil {
			return caddy.ExitCodeFailedStartup, fmt.Errorf("--page: %w", err)
		}
	}
	r, err := d.examine(ctx, at, pages)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := r.write(cmd.OutOrStdout()); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if n := r.problems(); n > 0 {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("problems found: %d", n)
	}
	return caddy.ExitCodeSuccess, nil
}

// siteURL reads an address, with https:// as the default.
func siteURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is not accepted; use the address of a page, such as https://shop.example.com/", text)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}
