package fleet

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// lanes is how many lanes each destination has.
const lanes = event.Lanes

// names tells what the fleet's streams, subjects and bucket are called.
//
// A name has no underscore and a destination no capital letter, so no two of them
// are the same: <name>_<destination>_<lane>, <name>_<destination>_DEAD, <name>_FLEET.
type names struct {
	prefix string // Options.Name
	node   string // Options.Node, escaped
}

var (
	validName        = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
	validNode        = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	validDestination = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	validKey         = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$`)
)

func newNames(o Options) (names, error) {
	if !validName.MatchString(o.Name) {
		return names{}, fmt.Errorf("name %q: only letters, digits and hyphens are allowed", o.Name)
	}
	if !validNode.MatchString(o.Node) {
		return names{}, fmt.Errorf("node %q: only letters, digits, hyphens, underscores and dots are allowed", o.Node)
	}
	return names{prefix: o.Name, node: escape(o.Node)}, nil
}

// escape makes one token of a subject or key of a text, such as a node's name. Two
// texts never become the same token, because = itself is escaped.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// unescape is the inverse of escape. It is false for what escape does not return.
func unescape(token string) (string, bool) {
	var b strings.Builder
	for rest := token; rest != ""; {
		if rest[0] != '=' {
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		if len(rest) < 3 {
			return "", false
		}
		c, err := hex.DecodeString(rest[1:3])
		if err != nil {
			return "", false
		}
		b.WriteByte(c[0])
		rest = rest[3:]
	}
	text := b.String()
	return text, escape(text) == token
}

// laneNames is what belongs to a lane.
type laneNames struct {
	stream string
	prefix string // of its subjects, with a dot at the end
}

// lane returns what belongs to the lane of a name such as default/3.
func (n names) lane(name string) (laneNames, error) {
	destination, number, ok := strings.Cut(name, "/")
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i < 0 || i >= lanes || strconv.Itoa(i) != number || !validDestination.MatchString(destination) {
		return laneNames{}, fmt.Errorf("%q is not a lane", name)
	}
	return n.laneOf(destination, i), nil
}

func (n names) laneOf(destination string, i int) laneNames {
	return laneNames{
		stream: fmt.Sprintf("%s_%s_%d", n.prefix, destination, i),
		prefix: fmt.Sprintf("%s.%s.%d.", n.prefix, destination, i),
	}
}

func (l laneNames) event(visitor string) string { return l.prefix + "ev." + visitor }
func (l laneNames) events() string              { return l.prefix + "ev.*" }
func (l laneNames) position(node string) string { return l.prefix + "pos." + node }
func (l laneNames) positions() string           { return l.prefix + "pos.*" }

func (n names) deadLetters(destination string) string {
	return fmt.Sprintf("%s_%s_DEAD", n.prefix, destination)
}

// deadLetterSubjects cannot be those of a lane, whose third token is a digit.
func (n names) deadLetterSubjects(destination string) string {
	return fmt.Sprintf("%s.%s.dead.>", n.prefix, destination)
}

func (n names) deadLetter(destination, visitor string) string {
	return fmt.Sprintf("%s.%s.dead.%s", n.prefix, destination, visitor)
}

func (n names) bucket() string       { return n.prefix + "_FLEET" }
func (n names) bucketStream() string { return "KV_" + n.bucket() }
func (n names) keys() string         { return "$KV." + n.bucket() + ".>" }
func (n names) key(k string) string  { return "$KV." + n.bucket() + "." + k }
func (n names) keyOf(subject string) string {
	return strings.TrimPrefix(subject, "$KV."+n.bucket()+".")
}

// validVisitor says whether a visitor's token is 32 hexadecimal digits.
func validVisitor(v string) bool {
	if len(v) != 32 {
		return false
	}
	for i := range len(v) {
		if c := v[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
