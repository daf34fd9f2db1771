package forwarder

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// lineSum tells lines apart: two of the same event differ in their time.
type lineSum [16]byte

func sumOf(line []byte) lineSum {
	sum := sha256.Sum256(line)
	return lineSum(sum[:16])
}

// scan calls visit for each whole line that the files hold at present, oldest
// first. It locks only to open them: lines that are added meanwhile are not
// visited, and one that is removed may be. The line is visit's until it returns.
func (d *deadLetters) scan(visit func(line []byte) error) error {
	files, err := d.snapshot()
	defer func() {
		for _, f := range files {
			f.file.Close()
		}
	}()
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	for _, f := range files {
		if err := eachLine(io.NewSectionReader(f.file, 0, f.size), visit); err != nil {
			return err
		}
	}
	return nil
}

// part is a file and how much of it counts.
type part struct {
	file *os.File
	size int64
}

func (d *deadLetters) snapshot() (files []part, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range []string{olderDeadLetterFile, deadLetterFile} {
		f, err := os.Open(filepath.Join(d.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, err
		}
		fi, err := f.Stat()
		if err != nil {
			f.Close()
			return files, err
		}
		files = append(files, part{f, fi.Size()})
	}
	return files, nil
}

// eachLine calls visit for each line that has its end.
func eachLine(r io.Reader, visit func(line []byte) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		if err := visit(line); err != nil {
			return err
		}
	}
}

// remove takes lines out of the files and returns how many. Each file is
// written anew beside the old one and takes its place when it is on disk: a
// crash leaves either.
func (d *deadLetters) remove(gone map[lineSum]bool) (n int, err error) {
	if len(gone) == 0 {
		return 0, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, ErrClosed
	}
	for _, name := range []string{olderDeadLetterFile, deadLetterFile} {
		removed, rewriteErr := rewrite(filepath.Join(d.dir, name), gone)
		n += removed
		err = errors.Join(err, rewriteErr)
	}
	// The open file may be one that is gone: begin anew.
	if d.file != nil {
		err = errors.Join(err, d.file.Close())
		d.file = nil
	}
	if err = errors.Join(err, syncDir(d.dir), d.count()); err != nil {
		return n, fmt.Errorf("dead letters: %w", err)
	}
	return n, nil
}

func rewrite(path string, gone map[lineSum]bool) (n int, err error) {
	old, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer old.Close()
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer os.Remove(temp)
	w := bufio.NewWriterSize(f, 64<<10)
	err = eachLine(old, func(line []byte) error {
		if gone[sumOf(line)] {
			n++
			return nil
		}
		_, err := w.Write(line)
		return err
	})
	if err = errors.Join(err, w.Flush(), f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, nil
	}
	return n, os.Rename(temp, path)
}

// countLines returns the number of whole lines of a file and their bytes; none
// when there is no file.
func countLines(path string) (lines uint64, size int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	var read int64
	for {
		n, err := f.Read(buf)
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			lines += uint64(bytes.Count(buf[:n], []byte{'\n'}))
			size = read + int64(i) + 1
		}
		read += int64(n)
		if err == io.EOF {
			return lines, size, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
