package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/doctor"
)

// doctorCommand is `caddy intilery doctor`.
func doctorCommand() *cobra.Command {
	var page string
	var cfg cookie.Config
	var collect doctor.Endpoint
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "doctor <url>",
		Short: "Says what browsers will do to a site's identity cookies, and how to fix it",
		Long: `
Looks at a site as a browser does: its name, its addresses, its certificate and
visits to the given page, as a new visitor, as the same one again, and as another
new one. It says what each family of browsers will do to the cookies, and how to
fix it.

The visits are real: the site counts two visitors and three pages, and one more of
each where it serves pages over plain HTTP.

With --collect it looks at the collection endpoint too, as the tag on the page does:
whether its path stands out, whether it answers, which pages may send to it, and the
tag's script. With --key it sends one event, a track named "Intilery Doctor".

The exit code is 1 if there is a problem, or if the site cannot be reached.
`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&page, "page", "", "The address of the pages, where the module serves another host than theirs")
	cmd.Flags().StringVar(&cfg.Name, "name", "", "The name of the readable cookie, as in cookie { name }")
	cmd.Flags().StringVar(&cfg.KeeperName, "keeper-name", "", "The name of the keeper, as in cookie { keeper_name }")
	cmd.Flags().BoolVar(&cfg.KeeperOnly, "keeper-only", false, "There is no readable cookie, as in cookie { keeper_only }")
	cmd.Flags().StringVar(&cfg.Domain, "domain", "", "The cookies' domain, as in cookie { domain }")
	cmd.Flags().StringVar(&collect.Path, "collect", "", "The path of the collection endpoint, as in collect <path>")
	cmd.Flags().StringVar(&collect.Key, "key", "", "A public key of the endpoint; with one, a test event is sent")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "How long all of it may take")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		run := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			d := &doctor.Doctor{Cookies: cfg}
			switch {
			case strings.HasPrefix(collect.Path, "/"):
				d.Collect = &collect
			case collect.Path == "" && collect.Key != "":
				return caddy.ExitCodeFailedStartup, errors.New("--key: the endpoint's path is missing; give it with --collect")
			case collect.Path != "":
				return caddy.ExitCodeFailedStartup, fmt.Errorf("--collect: %q is not accepted: use the endpoint's path, which begins with /", collect.Path)
			}
			return examine(ctx, cmd, d, args[0], page)
		})
		return run(cmd, args)
	}
	return cmd
}

// examine looks at a site and prints the report.
func examine(ctx context.Context, cmd *cobra.Command, d *doctor.Doctor, site, page string) (int, error) {
	at, err := doctor.SiteURL(site)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	pages := at
	if page != "" {
		if pages, err = doctor.SiteURL(page); err != nil {
			return caddy.ExitCodeFailedStartup, fmt.Errorf("--page: %w", err)
		}
	}
	r, err := d.Examine(ctx, at, pages)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if err := r.Write(cmd.OutOrStdout()); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if n := r.Problems(); n > 0 {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("problems found: %d", n)
	}
	return caddy.ExitCodeSuccess, nil
}
