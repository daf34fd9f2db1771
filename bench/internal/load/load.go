//go:build linux

// Package load sends HTTP/1.1 requests over kept connections. The generator shares
// the machine with what it measures, so it does as little as it can: requests are
// bytes, and of an answer only the status and the length are read.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Load is one run of requests.
type Load struct {
	Address string
	// Requests is called for each connection. What it returns makes request i, which
	// lasts until it makes the next one.
	Requests    func() func(i int) []byte
	Count       int // of requests
	Concurrency int // of connections
	PerSecond   int // 0: as fast as answers come
}

// InTurn is a Load's Requests for those that are made beforehand.
func InTurn(requests [][]byte) func() func(int) []byte {
	return func() func(int) []byte {
		return func(i int) []byte { return requests[i%len(requests)] }
	}
}

// Result is what came of a Load.
type Result struct {
	Elapsed   time.Duration
	Latencies []int32 // microseconds
}

// Run sends count requests and returns an error unless each was answered 200.
// A paced request's latency counts from when it was due.
func (l Load) Run(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		lat  = make([][]int32, l.Concurrency)
		errs = make([]error, l.Concurrency)
	)
	start := time.Now()
	for w := range l.Concurrency {
		wg.Go(func() {
			lat[w] = make([]int32, 0, l.Count/l.Concurrency*2)
			errs[w] = l.worker(ctx, start, &next, &lat[w])
			if errs[w] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	res := Result{Elapsed: time.Since(start)}
	for _, part := range lat {
		res.Latencies = append(res.Latencies, part...)
	}
	return res, errors.Join(errs...)
}

func (l Load) worker(ctx context.Context, start time.Time, next *atomic.Int64, lat *[]int32) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 16<<10)
	request := l.Requests()
	for ctx.Err() == nil {
		i := int(next.Add(1)) - 1
		if i >= l.Count {
			return nil
		}
		due := time.Now()
		if l.PerSecond > 0 {
			due = start.Add(time.Duration(i) * time.Second / time.Duration(l.PerSecond))
			time.Sleep(time.Until(due))
		}
		if _, err := conn.Write(request(i)); err != nil {
			return err
		}
		if err := readAnswer(r); err != nil {
			return err
		}
		*lat = append(*lat, int32(time.Since(due).Microseconds()))
	}
	return nil
}

var contentLength = []byte("Content-Length:")

// readAnswer reads one answer that must be a 200 with a Content-Length.
func readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", bytes.TrimSpace(line))
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return errors.New("an answer without Content-Length")
	}
	if _, err := r.Discard(length); err != nil {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	return nil
}
