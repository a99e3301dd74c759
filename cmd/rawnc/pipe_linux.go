package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// widen lets a pipe hold more than 64 KiB, so that whoever fills it and we take
// turns less often. It may be refused, and other files have no such size.
func widen(f *os.File) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, inputSize) })
	}
}
