package main

import (
	"os"
	"path/filepath"
)

// A spool is a file for chunks that memory has no room for. It grows no larger
// than what waits in it at once. The backlog's lock guards the slots.
type spool struct {
	dir  string   // where the file is to be
	file *os.File // nil: there is none yet
	free []int    // slots, of a chunk each, that are used no more
	used int      // slots that have been used
}

// newSpool returns the spool of a capture: beside it, where there must be room
// anyway, if it is a file.
func newSpool(capture *os.File) *spool {
	if info, err := capture.Stat(); err == nil && info.Mode().IsRegular() {
		return &spool{dir: filepath.Dir(capture.Name())}
	}
	return &spool{dir: os.TempDir()}
}

// slot takes a free one.
func (s *spool) slot() int {
	if n := len(s.free); n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}
	s.used++
	return s.used - 1
}

func (s *spool) release(slot int) { s.free = append(s.free, slot) }

func (s *spool) write(octets []byte, slot int) error {
	if s.file == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	_, err := s.file.WriteAt(octets, int64(slot)*chunkSize)
	return err
}

func (s *spool) read(octets []byte, slot int) error {
	_, err := s.file.ReadAt(octets, int64(slot)*chunkSize)
	return err
}

// create makes the file. It has no name for longer than that takes, so it is
// gone when the program is, however it ends.
func (s *spool) create() error {
	f, err := os.CreateTemp(s.dir, ".rawnc-*")
	if err != nil {
		if f, err = os.CreateTemp("", ".rawnc-*"); err != nil {
			return err
		}
	}
	s.file = f
	return os.Remove(f.Name())
}
