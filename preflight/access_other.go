//go:build !unix

package preflight

import "io/fs"

// mayWrite is not known here.
func (u *User) mayWrite(string) (whyNot string, err error) { return "", nil }

// MayRead is not known here.
func (u *User) MayRead(string) (whyNot string, err error) { return "", nil }

func describe(fi fs.FileInfo) string { return fi.Mode().String() }

func deviceOf(fs.FileInfo) (device uint64, ok bool) { return 0, false }
