package lab

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// start serves a mode on loopback.
func start(t *testing.T, mode Mode, received func([]byte)) (*server, *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handle, err := handler(mode, received)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(listener, handle)
	t.Cleanup(s.close)
	return s, dial(t, s)
}

func dial(t *testing.T, s *server) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// converse says something, ends, and returns all that the server said.
func converse(t *testing.T, c *net.TCPConn, say string) string {
	t.Helper()
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSink(t *testing.T) {
	var lines []string
	s, c := start(t, Sink, func(line []byte) { lines = append(lines, string(line)) })
	long := strings.Repeat("x", 64<<10)
	if said := converse(t, c, "hello2020\n\nworld\r\n"+long+"y\nno newline"); said != "" {
		t.Errorf("the sink said %q", said)
	}
	s.close()
	want := []string{"hello2020\n", "\n", "world\r\n", long, "y\n", "no newline"}
	if !slices.Equal(lines, want) {
		t.Errorf("got %.200q, want %.200q", lines, want)
	}
}

func TestEchoIsByteForByte(t *testing.T) {
	_, c := start(t, Echo, nil)
	if _, err := io.WriteString(c, "no newline"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len("no newline"))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "no newline" { // at once
		t.Fatalf("got %q, %v", b, err)
	}
	if got := converse(t, c, "\x00\r\n\xff"); got != "\x00\r\n\xff" {
		t.Errorf("got %q", got)
	}
}

func TestChat(t *testing.T) {
	_, c := start(t, Chat, nil)
	want := fmt.Sprintf("hello %v, say something\nyou said: hi\nyou said: bye\n", c.LocalAddr())
	if got := converse(t, c, "hi\r\nbye"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	s, first := start(t, Echo, nil)
	for i := range 50 {
		say := fmt.Sprint("this is ", i)
		if got := converse(t, dial(t, s), say); got != say {
			t.Errorf("got %q, want %q", got, say)
		}
	}
	if got := converse(t, first, "still there"); got != "still there" {
		t.Errorf("got %q", got)
	}
}

func TestCloseEndsConnections(t *testing.T) {
	s, c := start(t, Chat, nil)
	if _, err := c.Read(make([]byte, 1)); err != nil { // it was accepted
		t.Fatal(err)
	}
	s.close()
	io.ReadAll(c) // would wait for ever
	if c, err := net.Dial("tcp", s.listener.Addr().String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

func TestUnknownMode(t *testing.T) {
	if _, err := handler("shout", nil); err == nil || !strings.Contains(err.Error(), `"shout"`) {
		t.Errorf("got %v", err)
	}
}
