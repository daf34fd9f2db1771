package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/intilery/caddy-intilery/caddymodule/internal/operatorpage"
	"github.com/intilery/caddy-intilery/internal/loopback"
	"github.com/intilery/caddy-intilery/internal/webui"
)

// defaultPageListen is where the operator's page is served to browsers.
const defaultPageListen = "localhost:2018"

func pageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "page",
		Short: "Serves the operator's page to a browser on this machine",
		Long: `
Serves the operator's page until it is interrupted: what waits, what is wrong, dead
letters, and what was captured last. The page is part of Caddy's admin endpoint,
'` + adminPath + `', which refuses browsers unless its option 'origins' lets them in. This
command passes on what a browser on this machine asks, and nothing else of the
admin endpoint. While it runs, every user of this machine can open the page.

From another machine: ssh -L 2018:` + defaultPageListen + ` <server> caddy intilery page`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fl := caddycmd.Flags{FlagSet: cmd.Flags()}
			address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
			if err != nil {
				return fmt.Errorf("finding the admin API: %w", err)
			}
			proxy, err := newPageProxy(address)
			if err != nil {
				return err
			}
			listen := fl.String("listen")
			if !isLoopback(listen) {
				return fmt.Errorf("listen: %q is not accepted; use an address of this machine alone, such as %s, and ssh -L from others", listen, defaultPageListen)
			}
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("listening for browsers: %w; choose another address with --listen", err)
			}
			server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			defer context.AfterFunc(ctx, func() { server.Close() })()
			fmt.Fprintf(cmd.OutOrStdout(), "http://%s%s\n", listen, adminPath)
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
	}
	cmd.Flags().String("listen", defaultPageListen, "Where to serve it; on this machine only")
	addAdminFlags(cmd)
	return cmd
}

// newPageProxy returns a handler that passes the operator's page's requests on to the
// admin endpoint at an address. Caddy refuses what browsers send there, so that
// their own fields are taken off; what Caddy checks by them is checked here.
func newPageProxy(address string) (http.Handler, error) {
	addr, err := caddy.ParseNetworkAddress(address)
	if err != nil || addr.PortRangeSize() > 1 {
		return nil, fmt.Errorf("address: %q is not accepted; use that of the admin API", address)
	}
	host, dial := addr.JoinHostPort(0), addr.JoinHostPort(0)
	if addr.IsUnixNetwork() {
		host = "127.0.0.1"                  // any would do
		dial, _, _ = strings.Cut(dial, "|") // its permissions
	}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, addr.Network, dial)
			},
		},
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host, pr.Out.Host = "http", host, host
			for name := range pr.Out.Header {
				if strings.HasPrefix(name, "Sec-Fetch-") {
					pr.Out.Header.Del(name)
				}
			}
			pr.Out.Header.Del("Referer")
			pr.Out.Header.Del("Cookie")
			pr.Out.Header.Del("Origin")
			if !addr.IsUnixNetwork() {
				pr.Out.Header.Set("Origin", "http://"+host) // as Caddy's own commands do, for enforce_origin
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			resp.Header.Del("Access-Control-Allow-Origin")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refusePage(w, http.StatusBadGateway, fmt.Sprintf("no Caddy answers at %s: %v", address, err))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, below := strings.CutPrefix(r.URL.Path, adminPath)
		switch {
		case !isLoopback(r.Host): // a name that another site's owner has pointed here
			refusePage(w, http.StatusForbidden, "this host is not served; use localhost")
		case r.URL.Path == "/", r.URL.Path+"/" == adminPath:
			webui.SetHeaders(w.Header())
			http.Redirect(w, r, adminPath, http.StatusFound)
		case !below, strings.Contains(path, ".."):
			refusePage(w, http.StatusNotFound, "no such path; use "+adminPath)
		default:
			if path != "" { // a link on another page may lead to the page itself
				if err := operatorpage.CheckOrigin(r); err != nil {
					refusePage(w, http.StatusForbidden, err.Error())
					return
				}
			}
			proxy.ServeHTTP(w, r)
		}
	}), nil
}

func refusePage(w http.ResponseWriter, status int, message string) {
	webui.SetHeaders(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": message}) // the browser has gone
}

// isLoopback reports whether a host, with or without a port, is this machine by any
// name server.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return loopback.Host(strings.ToLower(host))
}
