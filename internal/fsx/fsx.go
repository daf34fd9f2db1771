// Package fsx has the few file-system calls that the packages of the queue share:
// durable directory entries, atomic replacement of a file, locks, free space,
// and blocks reserved ahead. It knows nothing of what the files hold.
package fsx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLocked is returned by LockFile when another process, or another caller in
// this one, holds the lock.
var ErrLocked = errors.New("another process has it open")

// SyncDir makes the entries of dir durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync a directory: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// ReplaceFile gives the file at path new contents and makes them durable. After
// a crash it holds these or the old ones. It makes the directory if there is none.
func ReplaceFile(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(path+".new", path), SyncDir(dir))
}

// Usage returns the bytes allocated to the files below dir, as far as they can
// be listed.
func Usage(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what cannot be listed does not count
		}
		if fi, err := d.Info(); err == nil {
			n += Allocated(fi)
		}
		return nil
	})
	return n
}

// Space is what a file system has left for this process.
type Space struct {
	Bytes int64
	// Files is how many more files it takes; negative when that has no limit or
	// is not known.
	Files int64
}
