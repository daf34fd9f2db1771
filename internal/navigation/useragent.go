package navigation

// maxAgentScan bounds the part of a User-Agent that is read. Bots name
// themselves early; what is longer is mostly the report of an app on its device.
const maxAgentScan = 512

// evidence is what a User-Agent has in it.
type evidence uint16

const (
	botWord        evidence = 1 << iota // a word that only bots are called by
	taskWord                            // a word that apps on handsets are called by as well
	referredURL                         // a URL or host after a plus sign
	plainURL                            // a URL or host without one, which apps on handsets have as well
	emailAddress                        // someone to write to
	compatibleOnly                      // a comment with "compatible;" and no platform
	handset                             // a phone or tablet
	msie                                // Internet Explorer, into whose User-Agent toolbars put URLs
)

// removableRules are the rules that bots remove can take off by their name.
var removableRules = [...]struct {
	rule     Rule
	evidence evidence
}{
	{RuleURL, referredURL | plainURL},
	{RuleEmail, emailAddress},
	{RuleCompatible, compatibleOnly},
}

// rule reads a User-Agent once, from left to right, without allocating.
func (m *marks) rule(agent string) Rule {
	s := scanner{marks: m, agent: agent, word: none, previous: none}
	if s.scan() {
		return RuleName
	}
	found := s.found &^ m.without
	if found&handset != 0 {
		found &^= taskWord | plainURL
	}
	if found&msie != 0 {
		found &^= plainURL
	}
	switch {
	case found&(botWord|taskWord) != 0:
		return RuleWord
	case found&(referredURL|plainURL) != 0:
		return RuleURL
	case found&emailAddress != 0:
		return RuleEmail
	case found&compatibleOnly != 0:
		return RuleCompatible
	}
	return ""
}

const none = -1

// scanner splits a User-Agent into words, comments in parentheses and sections
// in brackets.
//
// Devices are named in the comment that names Android or follows its name, and
// apps report on device and network in brackets: words do not count there, since
// phones are called "M bot 54" and "Spider 8" too. Names of the list count
// anywhere.
type scanner struct {
	marks *marks
	agent string

	// lower is the words so far, in lower case with one space after each.
	lower [maxAgentScan + 1]byte
	n     int

	word      int  // where in lower the current word begins, or none
	letters   bool // the current word has a letter
	previous  int  // where in lower the word before begins if it begins a name of two words, or none
	plus      bool // a plus sign precedes the current word
	dotted    int  // how many labels of a host precede the current word
	notHost   bool // the first of them is www or a top-level domain, as in com.example.app
	parens    int  // depth of parentheses
	brackets  int  // depth of brackets
	android   bool // the last word is Android
	comment   comment
	found     evidence
	wordFound evidence // of the current comment, until it is known not to be a device's
}

// comment is what the comment in parentheses has in it so far.
type comment struct {
	device     bool // the name of a device
	compatible bool // "compatible;"
	platform   bool // a browser or system of the past that says "compatible;"
}

// scan reports a name of the list, or collects evidence.
func (s *scanner) scan() (named bool) {
	for i := 0; i < len(s.agent); i++ {
		c := s.agent[i]
		if wordByte[c] {
			if s.word == none {
				s.word = s.n
				s.letters = false
			}
			c = lowerByte(c)
			s.letters = s.letters || c < '0' || c > '9'
			s.lower[s.n] = c
			s.n++
			continue
		}
		if s.word != none && s.endWord(i) {
			return true
		}
		s.separator(i, c)
	}
	if s.word != none && s.endWord(len(s.agent)) {
		return true
	}
	s.endComment()
	return false
}

// endWord looks at the word that ends before agent[i].
func (s *scanner) endWord(i int) (named bool) {
	w := s.lower[s.word:s.n]
	start := s.word
	s.lower[s.n] = ' '
	s.n++
	s.word = none
	if !s.letters {
		s.android = false
		s.dotted++
		return false
	}
	if len(w) <= maxNameWord {
		kind := s.marks.names[string(w)]
		if kind&isName != 0 {
			return true
		}
		if s.previous != none && s.marks.names[string(s.lower[s.previous:start+len(w)])]&isName != 0 {
			return true
		}
		s.previous = none
		if kind&beginsName != 0 {
			s.previous = start
		}
	}
	s.android = false
	s.platformWord(w, i)
	s.host(w, i)
	if s.brackets == 0 {
		s.wordFound |= s.marks.endings.match(w, s.agent[i-len(w):i])
	}
	return false
}

// platformWord recognizes systems and browsers.
func (s *scanner) platformWord(w []byte, i int) {
	switch string(w) {
	case "android", "adr":
		s.android, s.comment.device = true, s.parens > 0
		s.found |= handset
	case "iphone", "ipad", "ios":
		s.found |= handset
	case "msie":
		s.found |= msie
		s.comment.platform = true
	case "konqueror", "linux", "linux2", "windows", "macintosh", "amiga", "amigaos", "amigaos4", "beos", "brew", "risc":
		s.comment.platform = true
	case "u":
		s.comment.platform = s.comment.platform || i < len(s.agent) && s.agent[i] == ';'
	case "compatible":
		s.comment.compatible = s.comment.compatible || i < len(s.agent) && s.agent[i] == ';' && s.parens > 0
	}
}

// host looks for a URL or the name of a host that ends or begins with this word.
func (s *scanner) host(w []byte, i int) {
	var next byte
	if i < len(s.agent) {
		next = s.agent[i]
	}
	url := plainURL
	if s.plus {
		url = referredURL
	}
	switch string(w) {
	case "http", "https":
		if next == ':' {
			s.found |= url
		}
	case "www":
		if next == '.' && s.plus {
			s.found |= referredURL
		}
		s.notHost = s.notHost || s.dotted == 0
	case "com", "net", "org", "io", "ai", "co":
		if s.dotted == 0 {
			s.notHost = next == '.'
		} else if s.agent[i-len(w)-1] == '.' && next != '.' && next != '-' && next != '_' && !s.notHost && s.brackets == 0 {
			s.found |= url
		}
	}
	s.dotted++
}

// separator looks at a byte that is no part of a word.
func (s *scanner) separator(i int, c byte) {
	if c != '.' && c != '-' {
		s.dotted, s.notHost = 0, false
	}
	switch c {
	case '.', '-':
		return
	case '+':
		s.plus = true
		return
	case ' ':
		if s.plus && i > 0 && s.agent[i-1] == '+' {
			return
		}
	case '(':
		if s.parens == 0 {
			s.endComment()
			s.comment.device = s.android
		}
		s.parens++
		s.previous = none
	case ')':
		if s.parens > 0 {
			if s.parens--; s.parens == 0 {
				s.endComment()
			}
		}
		s.previous = none
	case '[':
		s.brackets++
		s.previous = none
	case ']':
		s.brackets = max(0, s.brackets-1)
		s.previous = none
	case ';', ',':
		s.previous = none
	case '@':
		if i > 0 && wordByte[s.agent[i-1]] && mailDomain(s.agent[i+1:]) {
			s.found |= emailAddress
		}
	}
	s.plus = false
}

// endComment counts the words since the last comment began or ended.
func (s *scanner) endComment() {
	if !s.comment.device {
		s.found |= s.wordFound
	}
	if s.comment.compatible && !s.comment.platform {
		s.found |= compatibleOnly
	}
	s.comment, s.wordFound = comment{}, 0
}

// mailDomain reports whether a domain's name begins here. A version, as in
// Ecosia's ios@9.2.3, does not.
func mailDomain(s string) bool {
	for i := range len(s) {
		c := lowerByte(s[i])
		switch {
		case c == '.':
			return i > 0 && i+1 < len(s) && 'a' <= lowerByte(s[i+1]) && lowerByte(s[i+1]) <= 'z'
		case 'a' <= c && c <= 'z', i > 0 && (c == '-' || '0' <= c && c <= '9'):
		default:
			return false
		}
	}
	return false
}

// wordByte are letters, digits and the bytes of characters beyond ASCII.
var wordByte = func() (t [256]bool) {
	for c := range t {
		t[c] = '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c >= 0x80
	}
	return t
}()

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lowerASCII changes b in place.
func lowerASCII(b []byte) []byte {
	for i, c := range b {
		b[i] = lowerByte(c)
	}
	return b
}
