package collect

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// HeaderKey is the key in the Authorization header: the user name of Basic (RFC
// 7617) or a Bearer token (RFC 6750); "" for none.
func HeaderKey(h http.Header) string {
	scheme, value, _ := strings.Cut(h.Get("Authorization"), " ")
	value = strings.TrimSpace(value)
	switch strings.ToLower(scheme) {
	case "bearer":
		return value
	case "basic":
		if text, err := base64.StdEncoding.DecodeString(value); err == nil {
			key, _, _ := strings.Cut(string(text), ":")
			return key
		}
	}
	return ""
}

// KeyOf is the writeKey in a body, or in the first event of its batch; "" for none.
// It takes any bytes.
func KeyOf(body []byte) string {
	for _, path := range [...]string{"writeKey", "batch.0.writeKey"} {
		if key := gjson.GetBytes(body, path); key.Type == gjson.String && key.Str != "" {
			return key.Str
		}
	}
	return ""
}
