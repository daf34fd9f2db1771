package wal

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// syncFile makes a file's data durable. Its times may lag behind: syncing them
// too would cost a journal commit each time.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
