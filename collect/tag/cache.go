package tag

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// scriptCopy is a script as its source last served it, as it is kept on disk.
type scriptCopy struct {
	URL          string `json:"url"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Text         string `json:"text"`
}

// cache keeps one copy in a file. Without a path it keeps none.
type cache struct{ path string }

// load returns the copy, or nil if there is none of this URL.
func (c cache) load(url string) (*scriptCopy, error) {
	if c.path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s scriptCopy
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	if s.URL != url || s.Text == "" {
		return nil, fmt.Errorf("%s: not a copy of this script", c.path)
	}
	return &s, nil
}

func (c cache) store(s *scriptCopy) error {
	if c.path == "" {
		return nil
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return fsx.ReplaceFile(c.path, text)
}
