package fleet

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestStartRefuses(t *testing.T) {
	ok := func() Options { return Options{Servers: []string{"nats://127.0.0.1:1"}, Node: "n"} }
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no credentials": {func(o *Options) { o.Credentials = "absent.creds" }, "absent.creds"},
		"no nkey":        {func(o *Options) { o.NKey = "absent.nk" }, "absent.nk"},
		"no ca":          {func(o *Options) { o.TLS = &TLS{CA: "absent.pem"} }, "absent.pem"},
	} {
		o := ok()
		c.change(&o)
		j := newJetStream(o)
		err := j.start()
		j.close()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want one with %q", name, err, c.want)
		}
	}
}

// A broker that says nothing delays neither start nor close.
func TestStartDoesNotWait(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begun := time.Now()
	j := newJetStream(Options{Servers: []string{"nats://" + silent.Addr().String()}, Node: "n"})
	if err := j.start(); err != nil {
		t.Fatal(err)
	}
	j.serve([]string{"default"})
	if _, _, err := j.Position(t.Context(), anyLane); err == nil {
		t.Error("it answered")
	}
	if _, err := silent.Accept(); err != nil { // it has dialed
		t.Fatal(err)
	}
	j.close()
	if took := time.Since(begun); took > dialTimeout/2 {
		t.Errorf("it took %v", took)
	}
}
