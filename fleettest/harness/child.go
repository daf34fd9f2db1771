package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
)

// Set, these make the test binary a child.
const (
	childEnv  = "FLEETTEST_CHILD" // what it is
	configEnv = "FLEETTEST_CONFIG"
)

// Main runs a package's tests, or what this process is a child for.
func Main(m *testing.M) {
	var err error
	switch kind := os.Getenv(childEnv); kind {
	case "":
		os.Exit(m.Run())
	case brokerChild:
		err = runBroker()
	case nodeChild:
		err = runNode()
	default:
		err = fmt.Errorf("no such child: %q", kind)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// request is a line on a child's standard input, answer one on its standard output.
// The answer with ID 0 says that the child is ready.
type request struct {
	ID   int             `json:"id"`
	Op   string          `json:"op"`
	Args json.RawMessage `json:"args,omitempty"`
}

type answer struct {
	ID     int             `json:"id"`
	Error  string          `json:"error,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
}

// operation begins what a request asks for, in the order of requests; what it
// returns is called beside later requests and gives the answer.
type operation func(args json.RawMessage) func() (any, error)

// childConfig reads what the parent has set.
func childConfig(to any) error {
	return json.Unmarshal([]byte(os.Getenv(configEnv)), to)
}

// serve says that the child is ready and answers requests until its input ends,
// which means that the parent has gone, or SIGTERM comes: then it calls stop.
func serve(operations map[string]operation, stop func() error) error {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT) // the parent decides
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	reply := func(id int, result any, err error) {
		a := answer{ID: id}
		if err == nil {
			a.Result, err = json.Marshal(result)
		}
		if err != nil {
			a.Error = err.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(a) // fails when the parent has gone
	}
	gone := make(chan error, 1)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		in.Buffer(nil, 16<<20)
		for in.Scan() {
			var r request
			if err := json.Unmarshal(in.Bytes(), &r); err != nil {
				gone <- err
				return
			}
			op := operations[r.Op]
			if op == nil {
				reply(r.ID, nil, fmt.Errorf("no operation %q", r.Op))
				continue
			}
			finish := op(r.Args)
			go func() {
				result, err := finish()
				reply(r.ID, result, err)
			}()
		}
		gone <- fmt.Errorf("the test has gone: %v", in.Err())
	}()
	reply(0, nil, nil)
	select {
	case err := <-gone:
		return err
	case <-term:
		return stop()
	}
}
