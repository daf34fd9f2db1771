// Package loopback serves handlers to the processes of a benchmark.
package loopback

import (
	"errors"
	"net"
	"net/http"
)

// Serve serves h on a free port until closeServer is called.
func Serve(h http.Handler) (address string, closeServer func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	return l.Addr().String(), func() error {
		err := srv.Close()
		if e := <-done; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	}, nil
}
