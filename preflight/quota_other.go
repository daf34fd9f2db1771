//go:build !linux

package preflight

import "errors"

// quotasOf is not known here.
func quotasOf(string, *User) ([]quota, error) {
	return nil, errors.New("quotas are looked at on Linux only")
}
