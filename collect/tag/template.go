package tag

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

// template is a text with holes. The parts are fixed; what fills the holes is a
// matter of the request.
type template struct {
	parts []string // one more than holes
	holes []hole
	sum   string // digest of all this
}

// hole is a place in a template.
type hole byte

const (
	// values is the JSON object that the built-in scripts are called with.
	values hole = iota
	// scheme is http or https.
	scheme
	// hostPath is host and prefix.
	hostPath
)

func newTemplate(parts []string, holes []hole) *template {
	names := make([]byte, len(holes))
	for i, h := range holes {
		names[i] = '0' + byte(h)
	}
	return &template{parts, holes, digest(append([]string{string(names)}, parts...)...)}
}

// fill returns the script for one request.
func (t *template) fill(at Where) content {
	texts := [...]string{values: at.values(), scheme: at.scheme(), hostPath: at.Host + escapePath(at.Prefix)}
	size := 0
	for _, p := range t.parts {
		size += len(p)
	}
	for _, h := range t.holes {
		size += len(texts[h])
	}
	body := make([]byte, 0, size)
	used := []string{t.sum}
	var seen [len(texts)]bool
	for i, p := range t.parts {
		body = append(body, p...)
		if i < len(t.holes) {
			h := t.holes[i]
			body = append(body, texts[h]...)
			if !seen[h] {
				seen[h] = true
				used = append(used, texts[h])
			}
		}
	}
	return content{body, javaScript, scriptCaching, digest(used...)}
}

// digest returns an ETag for texts. Their number and lengths count too.
func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		n := len(t)
		_, _ = h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		_, _ = io.Copy(h, strings.NewReader(t))
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
