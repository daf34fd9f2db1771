//go:build linux

package main

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

// The generator shares the machine with what it measures, so it does as little
// as it can: requests are made beforehand, connections are kept, and of an
// answer only the status and the length are read.

// load is one run of requests.
type load struct {
	address     string
	requests    [][]byte // sent in turn
	count       int      // how many in all
	concurrency int
	perSecond   int // 0: as fast as answers come
}

// result is what came of it.
type result struct {
	elapsed   time.Duration
	latencies []int32 // microseconds
}

// run sends count requests and returns an error unless each was answered 200.
// A paced request's latency counts from when it was due.
func (l load) run(ctx context.Context) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		lat  = make([][]int32, l.concurrency)
		errs = make([]error, l.concurrency)
	)
	start := time.Now()
	for w := range l.concurrency {
		wg.Go(func() {
			lat[w] = make([]int32, 0, l.count/l.concurrency*2)
			errs[w] = l.worker(ctx, start, &next, &lat[w])
			if errs[w] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	res := result{elapsed: time.Since(start)}
	for _, part := range lat {
		res.latencies = append(res.latencies, part...)
	}
	return res, errors.Join(errs...)
}

func (l load) worker(ctx context.Context, start time.Time, next *atomic.Int64, lat *[]int32) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 16<<10)
	for ctx.Err() == nil {
		i := int(next.Add(1)) - 1
		if i >= l.count {
			return nil
		}
		due := time.Now()
		if l.perSecond > 0 {
			due = start.Add(time.Duration(i) * time.Second / time.Duration(l.perSecond))
			time.Sleep(time.Until(due))
		}
		if _, err := conn.Write(l.requests[i%len(l.requests)]); err != nil {
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
