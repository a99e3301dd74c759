package rawtcp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
)

// A kernelSocket is the kernel's end, with what the net package does not offer.
type kernelSocket struct {
	t *testing.T
	*net.TCPConn
}

// do calls f with the socket until it no longer has to wait.
func (s kernelSocket) do(f func(fd int) error) {
	s.t.Helper()
	raw, err := s.SyscallConn()
	if err != nil {
		s.t.Fatal(err)
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		failed = f(int(fd))
		return failed != unix.EAGAIN
	})
	if failed = errors.Join(err, failed); failed != nil {
		s.t.Fatal(failed)
	}
}

func (s kernelSocket) sendUrgent(text string) {
	s.t.Helper()
	s.do(func(fd int) error { return unix.Send(fd, []byte(text), unix.MSG_OOB) })
}

// urgentOctet is what recv with MSG_OOB returns: the last urgent octet.
func (s kernelSocket) urgentOctet() string {
	s.t.Helper()
	var b [1]byte
	n := 0
	for end := time.Now().Add(time.Minute); n == 0; {
		s.do(func(fd int) (err error) {
			n, _, err = unix.Recvfrom(fd, b[:], unix.MSG_OOB)
			if err == unix.EINVAL || err == unix.EAGAIN { // not announced, not there yet
				n = 0
				_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, 100)
			}
			if err == unix.EINTR {
				err = nil
			}
			return err
		})
		if time.Now().After(end) {
			s.t.Fatal("no urgent octet in a minute")
		}
	}
	return string(b[:n])
}

// atMark is SIOCATMARK.
func (s kernelSocket) atMark() bool {
	s.t.Helper()
	var mark int
	s.do(func(fd int) (err error) {
		mark, err = unix.IoctlGetInt(fd, unix.SIOCATMARK)
		return err
	})
	return mark == 1
}

// TestUrgentData: RFC 9293, section 3.8.5, against MSG_OOB. The kernel counts the
// last urgent octet alone, and takes it out of the stream unless told not to.
func TestUrgentData(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4, pair.B.IPv6)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	connect := func(t *testing.T) (*rawtcp.Conn, kernelSocket) {
		l := listen(t, pair.B, pair.B.IPv4)
		c, s := open(t, l, func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
		return c.(*rawtcp.Conn), kernelSocket{t, s.(*net.TCPConn)}
	}
	write := func(t *testing.T, parts ...func() (int, error)) {
		t.Helper()
		for _, part := range parts {
			if _, err := part(); err != nil {
				t.Fatal(err)
			}
		}
	}
	plain := func(w io.Writer, text string) func() (int, error) {
		return func() (int, error) { return io.WriteString(w, text) }
	}

	t.Run("to the kernel, in line", func(t *testing.T) {
		c, s := connect(t)
		s.do(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1) })
		write(t, plain(c, "ab"), func() (int, error) { return c.WriteUrgent([]byte("cd!")) }, plain(c, "ef"))
		c.CloseWrite()
		var got []byte
		for !s.atMark() {
			b := make([]byte, 100)
			n, err := s.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b[:n]...)
		}
		if rest, err := io.ReadAll(s); string(got) != "abcd" || string(rest) != "!ef" || err != nil {
			t.Errorf("the kernel read %q, then %q, %v", got, rest, err)
		}
	})
	t.Run("to the kernel, out of band", func(t *testing.T) {
		c, s := connect(t)
		write(t, plain(c, "ab"), func() (int, error) { return c.WriteUrgent([]byte("cd!")) }, plain(c, "ef"))
		c.CloseWrite()
		if got := s.urgentOctet(); got != "!" {
			t.Errorf("the urgent octet is %q", got)
		}
		if got, err := io.ReadAll(s); string(got) != "abcdef" || err != nil {
			t.Errorf("the kernel read %q, %v", got, err)
		}
	})
	// The pointer has 16 bits. On its way to its place it must not cost an octet.
	t.Run("to the kernel, more than the pointer can say", func(t *testing.T) {
		c, s := connect(t)
		want := bytes.ReplaceAll(randomBytes(500_000), []byte("!"), []byte("."))
		go func() {
			c.WriteUrgent(append(bytes.Clone(want), '!'))
			c.CloseWrite()
		}()
		got := make([]byte, len(want))
		if n, err := io.ReadFull(s, got); !bytes.Equal(got, want) || err != nil {
			t.Errorf("the kernel read %d octets of %d, or others: %v", n, len(want), err)
		}
		if got := s.urgentOctet(); got != "!" {
			t.Errorf("the urgent octet is %q", got)
		}
	})
	t.Run("from the kernel", func(t *testing.T) {
		c, s := connect(t)
		write(t, plain(s, "ab"))
		b := make([]byte, 100)
		if n, err := io.ReadFull(c, b[:2]); string(b[:n]) != "ab" || err != nil || c.Urgent() != 0 {
			t.Fatalf("read %q, %v; %d octets are urgent", b[:n], err, c.Urgent())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.sendUrgent("cd!")
		if r, err := c.Report(ctx); err != nil || r.Kind != stack.ReportUrgent || r.Urgent != 3 {
			t.Fatalf("reported %+v, %v", r, err)
		}
		write(t, plain(s, "ef"))
		s.CloseWrite()
		for got := ""; got != "cd!"; {
			n, err := c.Read(b)
			if got += string(b[:n]); err != nil || (c.Urgent() == 0) != (got == "cd!") {
				t.Fatalf("read %q, %v; %d octets are urgent", got, err, c.Urgent())
			}
		}
		if got, err := io.ReadAll(c); string(got) != "ef" || err != nil {
			t.Errorf("then %q, %v", got, err)
		}
		cancel()
		if r, err := c.Report(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with nothing to report: %+v, %v", r, err)
		}
		c.Close()
		if r, err := c.Report(t.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("when closed: %+v, %v", r, err)
		}
	})
	// Behind a window that is closed, the application is told nevertheless.
	t.Run("from the kernel, with the window closed", func(t *testing.T) {
		small := d
		small.Config.ReceiveBuffer = 1000
		l := listen(t, pair.B, pair.B.IPv6)
		c, s := open(t, l, func(address string) (net.Conn, error) { return small.Dial("tcp", address) })
		k := kernelSocket{t, s.(*net.TCPConn)}
		write(t, plain(k, string(make([]byte, 3000))))
		k.sendUrgent("!")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			r, err := c.(*rawtcp.Conn).Report(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if r.Urgent == 3001 {
				break
			}
		}
		k.CloseWrite()
		if got, err := io.ReadAll(c); len(got) != 3001 || err != nil {
			t.Errorf("read %d octets, %v", len(got), err)
		}
	})
}
