package fleet

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/intilery/caddy-intilery/internal/seal"
)

// Options configures a node of a fleet.
type Options struct {
	// Servers are the brokers' addresses: URLs that begin with nats://, tls://, ws:// or
	// wss://, or host:port. The last two schemes do not go with the others.
	Servers []string
	// Credentials is the path of a credentials file. At most one of Credentials, NKey
	// and User is given.
	Credentials string
	// NKey is the path of a file with an nkey seed.
	NKey string
	// User, and Password, which is called at each connect and may read a file. Neither
	// goes without the other.
	User     string
	Password func() (string, error)
	// TLS is used when it is not nil, or a server's URL begins with tls://.
	TLS *TLS
	// Name is the prefix of all streams, subjects and of the bucket: up to 32 letters,
	// digits and hyphens. Nodes with the same name are one fleet. Default: IQ.
	Name string
	// Node names this node among those of the fleet: up to 253 letters, digits, hyphens,
	// underscores and single dots between them. It should stay with the data directory.
	// Default: the host's name.
	Node string
	// Replicas of each stream: 1, 3 or 5. Default: 3.
	Replicas int
	// Check refuses streams that are missing or set otherwise, where they would
	// be made or changed without it.
	Check bool
	// Lease is how long a node that is not heard of keeps its lanes, 2 s to 1 min.
	// Default: 5 s.
	Lease time.Duration
	// MaxBytes bounds the events of each destination that the streams hold, of which
	// each lane has an eighth: 64 MiB or more. Default: 8 GiB.
	MaxBytes int64
	// Keep is how long events stay in a node's log after they were handed over, 10 s
	// to 1 h and less than MaxAge. It should be longer than the broker's sync interval.
	// Default: 5 min.
	Keep time.Duration
	// MaxAge is how long an event may wait in a stream before it is given up. The
	// forwarder sets it, Keys too.
	MaxAge time.Duration
	// Keys seal what is published. Nil: nothing is sealed.
	Keys *seal.Keyring
	// Logger is told what an operator must know. Default: nothing is logged.
	Logger *slog.Logger
}

// TLS says how brokers are verified and what a node shows them.
type TLS struct {
	CA        string // path of certificates in PEM that sign the brokers'; default: the system's
	Cert, Key string // paths of the client's certificate and key in PEM; both or neither
}

// Defaults and bounds of the options.
const (
	DefaultName     = "IQ"
	DefaultReplicas = 3
	DefaultLease    = 5 * time.Second
	MinLease        = 2 * time.Second
	MaxLease        = time.Minute
	DefaultMaxBytes = 8 << 30
	MinMaxBytes     = 64 << 20
	DefaultKeep     = 5 * time.Minute
	MinKeep         = 10 * time.Second
	MaxKeep         = time.Hour
)

const (
	maxName = 32  // leaves room for a destination's in the name of a stream
	maxNode = 253 // a host's name is no longer
)

// Names are parts of subjects: an empty token, a wildcard or a space is none. An
// underscore joins the parts of a stream's name, so the first has none itself.
var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	nodeForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

// OptionError says which option is not accepted and why. It holds no secret.
type OptionError struct {
	Option string // as the Caddyfile spells it
	Err    error
}

func (e *OptionError) Error() string { return "fleet " + e.Option + ": " + e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

// wrong returns an OptionError.
func wrong(option, format string, args ...any) error {
	return &OptionError{option, fmt.Errorf(format, args...)}
}

// WithDefaults returns the options with every option set, or an *OptionError that
// tells the value and what is accepted. It reads no file and asks no server.
func (o Options) WithDefaults() (Options, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := checkServers(o.Servers); err != nil {
		return o, err
	}
	if err := o.checkLogin(); err != nil {
		return o, err
	}
	if err := o.completeNames(os.Hostname); err != nil {
		return o, err
	}
	return o, o.completeNumbers()
}

// checkLogin checks how the node shows the brokers who it is.
func (o *Options) checkLogin() error {
	given := ""
	for _, way := range []struct {
		option string
		used   bool
	}{{"credentials", o.Credentials != ""}, {"nkey", o.NKey != ""}, {"user", o.User != ""}} {
		if !way.used {
			continue
		}
		if given != "" {
			return wrong(way.option, "cannot be used beside %s; use one of credentials, nkey, or user and password", given)
		}
		given = way.option
	}
	switch {
	case o.Password != nil && o.User == "":
		return wrong("password", "there is no user; use user <name> too")
	case o.User != "" && o.Password == nil:
		return wrong("user", "there is no password; use password {file./path/to/password} too")
	case o.TLS != nil && (o.TLS.Cert == "") != (o.TLS.Key == ""):
		return wrong("tls", "cert and key must be given together; use both or neither")
	}
	return nil
}

// completeNames sets and checks the names of the fleet and the node.
func (o *Options) completeNames(hostname func() (string, error)) error {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if !nameForm.MatchString(o.Name) || len(o.Name) > maxName {
		return wrong("name", "%q is not accepted; use up to %d letters, digits and hyphens", o.Name, maxName)
	}
	var whose string
	if o.Node == "" {
		host, err := hostname()
		if err != nil {
			return wrong("node", "the host's name is not known: %w; use node <name>", err)
		}
		o.Node, whose = host, ", the host's name,"
	}
	if !nodeForm.MatchString(o.Node) || len(o.Node) > maxNode {
		return wrong("node", "%q%s is not accepted; use up to %d letters, digits, hyphens, underscores and single dots between them",
			o.Node, whose, maxNode)
	}
	return nil
}

// completeNumbers sets and checks the options that are numbers.
func (o *Options) completeNumbers() error {
	if o.Replicas == 0 {
		o.Replicas = DefaultReplicas
	}
	if o.Replicas != 1 && o.Replicas != 3 && o.Replicas != 5 {
		return wrong("replicas", "%d is not accepted; use 1, 3 or 5", o.Replicas)
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.Lease < MinLease || o.Lease > MaxLease {
		return wrong("lease", "%v is not accepted; use %v to %v", o.Lease, MinLease, MaxLease)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxBytes < MinMaxBytes {
		return wrong("max_size", "%d bytes are not accepted; use %s or more", o.MaxBytes, humanize.IBytes(MinMaxBytes))
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Keep < MinKeep || o.Keep > MaxKeep {
		return wrong("keep", "%v is not accepted; use %v to %v", o.Keep, MinKeep, MaxKeep)
	}
	if o.MaxAge != 0 && o.Keep >= o.MaxAge {
		return wrong("keep", "%v is not accepted; use less than max_age, which is %v", o.Keep, o.MaxAge)
	}
	return nil
}

// Changed reports whether a node's new options, nil for none, ask for something else.
// It leaves out what the forwarder sets. Of passwords it sees only whether there is
// one: a function cannot be compared, and is called at each connect anyway.
func (o *Options) Changed(to *Options) bool {
	if o == nil || to == nil {
		return o != to
	}
	a, b := *o, *to
	if (a.Password == nil) != (b.Password == nil) {
		return true
	}
	for _, c := range []*Options{&a, &b} {
		c.Password, c.MaxAge, c.Keys, c.Logger = nil, 0, nil, nil
	}
	return !reflect.DeepEqual(a, b)
}
