package deadletter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/intilery/caddy-intilery/internal/fsx"
)

// List lists the latest letters that a filter chooses, at most limit of them.
// Errors: ErrEncrypted, and those of the disk.
func (s *Store) List(f Filter, limit int) (list List, err error) {
	list.Damaged, err = s.each(f.Wants, func(_ ID, l *Letter) error {
		list.Add(l, limit)
		return nil
	})
	list.cut(limit)
	return list, err
}

// Select calls visit for each letter that is wanted, oldest first, and returns
// the number of lines that cannot be read. One that is encrypted with another key
// is an error, ErrEncrypted, and is found before visit is called.
func (s *Store) Select(wants func(*Letter) bool, visit func(ID, *Letter) error) (damaged int, err error) {
	err = s.scan(func(line []byte) error {
		if _, err := Decode(line, s.keys); errors.Is(err, ErrEncrypted) {
			return err
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return s.each(wants, visit)
}

// each is Select, but calls visit for what comes before an encrypted letter.
func (s *Store) each(wants func(*Letter) bool, visit func(ID, *Letter) error) (damaged int, err error) {
	err = s.scan(func(line []byte) error {
		l, err := Decode(line, s.keys)
		switch {
		case errors.Is(err, ErrEncrypted):
			return err
		case err != nil:
			damaged++
		case wants(&l):
			return visit(IDOf(line), &l)
		}
		return nil
	})
	return damaged, err
}

// Purge removes the letters that are wanted for good and returns how many.
// Errors as of Remove; after ErrEncrypted nothing was touched.
func (s *Store) Purge(wants func(*Letter) bool) (int, error) {
	gone := make(map[ID]bool)
	if _, err := s.each(wants, func(id ID, _ *Letter) error {
		gone[id] = true
		return nil
	}); err != nil {
		return 0, err
	}
	return s.Remove(gone)
}

// Remove takes letters out of the files and returns how many. Each file is
// written anew beside the old one and takes its place when it is on disk: a crash
// leaves either. Errors: ErrClosed, and those of the disk.
func (s *Store) Remove(gone map[ID]bool) (n int, err error) {
	if len(gone) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	for _, name := range []string{olderName, fileName} {
		removed, rewriteErr := rewrite(filepath.Join(s.dir, name), gone)
		n += removed
		err = errors.Join(err, rewriteErr)
	}
	// The open file may be one that is gone: begin anew.
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
		s.file = nil
	}
	if err = errors.Join(err, fsx.SyncDir(s.dir), s.count()); err != nil {
		return n, fmt.Errorf("dead letters: %w", err)
	}
	return n, nil
}

// scan calls visit for each whole line that the files hold at present, oldest
// first. It locks only to open them: lines that are added meanwhile are not
// visited, and one that is removed may be. The line is visit's until it returns.
func (s *Store) scan(visit func(line []byte) error) error {
	files, err := s.snapshot()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	for _, f := range files {
		fi, err := f.Stat()
		if err != nil {
			return fmt.Errorf("dead letters: %w", err)
		}
		if err := eachLine(io.NewSectionReader(f, 0, fi.Size()), visit); err != nil {
			return err
		}
	}
	return nil
}

// snapshot opens the files.
func (s *Store) snapshot() (files []*os.File, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{olderName, fileName} {
		f, err := os.Open(filepath.Join(s.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return files, err
		}
		files = append(files, f)
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

func rewrite(path string, gone map[ID]bool) (n int, err error) {
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
		if gone[IDOf(line)] {
			n++
			return nil
		}
		_, err := w.Write(line)
		return err
	})
	if err != nil || n == 0 {
		return 0, errors.Join(err, f.Close())
	}
	if err = errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return 0, err
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
		if errors.Is(err, io.EOF) {
			return lines, size, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}
