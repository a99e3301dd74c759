//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

// The test program plays rawnc where it is called by that name.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	if filepath.Base(os.Args[0]) != "rawnc" {
		os.Setenv("LC_ALL", "C.UTF-8") // the tests read English
	}
	testscript.Main(m, map[string]func(){"rawnc": main})
}

// What is the command line's alone.
func TestScripts(t *testing.T) {
	labtest.NeedRoot(t)
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(env *testscript.Env) error {
		env.Setenv("GORACE", os.Getenv("GORACE"))
		return nil
	}})
}

// waitLimit is how long a test waits for what must happen.
const waitLimit = 20 * time.Second

// A program is a running command, whose input can be typed and whose output
// can be waited for.
type program struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr screen
	ended          chan struct{}
}

// start runs a command until the end of the test at most.
func start(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, ended: make(chan struct{})}
	p.stdout.more.L, p.stderr.more.L = &p.stdout.mu, &p.stderr.mu
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	cmd.WaitDelay = time.Second
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		cmd.Wait()
		p.stdout.close()
		p.stderr.close()
		close(p.ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%q: %v\nstdout: %q\nstderr:\n%s", cmd.Args, cmd.ProcessState, p.stdout.text(), p.stderr.text())
		}
	})
	return p
}

func (p *program) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, text); err != nil {
		p.t.Fatalf("type %q: %v", text, err)
	}
}

// prints waits until the program has printed a text, on stdout.
func (p *program) prints(text string) {
	p.t.Helper()
	if !p.stdout.has(text) {
		p.t.Fatalf("stdout %q lacks %q", p.stdout.text(), text)
	}
}

// says waits until the program has said a text, on stderr.
func (p *program) says(text string) {
	p.t.Helper()
	if !p.stderr.has(text) {
		p.t.Fatalf("stderr lacks %q:\n%s", text, p.stderr.text())
	}
}

// ends waits until the program has ended, with an exit code.
func (p *program) ends(code int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(waitLimit):
		p.t.Fatal("it does not end")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("exit code %d, want %d; stderr:\n%s", got, code, p.stderr.text())
	}
}

func (p *program) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// A screen keeps what a program prints.
type screen struct {
	mu     sync.Mutex
	more   sync.Cond
	b      bytes.Buffer
	closed bool
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more.Broadcast()
	return s.b.Write(b)
}

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// has waits until a text has been printed, and reports false if it never is.
func (s *screen) has(text string) bool {
	late := false
	defer time.AfterFunc(waitLimit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.more.Broadcast()
	}).Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !strings.Contains(s.b.String(), text) {
		if late || s.closed {
			return false
		}
		s.more.Wait()
	}
	return true
}

// listening waits until somebody listens on a TCP port in a namespace.
func listening(t *testing.T, host *lab.Host, port string) {
	t.Helper()
	eventually(t, "nobody listens on port "+port, func() bool {
		out, err := host.Run("ss", "-Hltn", "sport = :"+port)
		if err != nil {
			t.Fatal(err)
		}
		return out != ""
	})
}

// eventually waits for what must come true.
func eventually(t *testing.T, problem string, true func() bool) {
	t.Helper()
	for start := time.Now(); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > waitLimit {
			t.Fatal(problem)
		}
	}
}

// tshark reads a capture and returns a line a packet, with the fields.
func tshark(t *testing.T, file string, fields ...string) []string {
	t.Helper()
	labtest.NeedPrograms(t, "tshark")
	args := []string{"-2", "-r", file, "-T", "fields"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, errs.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}
