//go:build !linux

package fsx

import "os"

// Datasync makes a file's data durable.
func Datasync(f *os.File) error { return f.Sync() }

// Reserve does nothing here.
func Reserve(*os.File, int64) error { return nil }

// OverwriteInPlace does nothing here.
func OverwriteInPlace(string) (copies bool) { return false }

// AdviseRandom does nothing here.
func AdviseRandom(*os.File) {}
