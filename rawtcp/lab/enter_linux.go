package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// entered is the environment variable that tells the program, as it starts
// again, that it is inside: the name of the network namespace that it left.
const entered = "RAWNC_LAB_LEFT"

// Enter moves the program into an empty network of its own, in which it is
// root. To that end it starts the program again from the beginning, in the
// same process and with the same arguments, so call it first of all. It
// returns when the program is inside, or with an error that says what to do.
//
// Because the process stays the same one, its terminal, its signals and its
// exit code are what they would be without the lab, and nobody is left to
// clean up.
func Enter() error {
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("enter the lab: %w", err)
	}
	left := os.Getenv(entered)
	os.Unsetenv(entered)
	if left != "" && left != here {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("enter the lab: %w", err)
	}
	env := append(os.Environ(), entered+"="+here)

	// Exec ends all threads but the calling one, and the program goes on in
	// that one's namespace. Root needs no more than this, and no user namespace,
	// in which it could no longer write others' files.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err == nil {
		return fmt.Errorf("enter the lab: %w", syscall.Exec(program, os.Args, env))
	}
	// Everyone else needs a user namespace first, which the kernel gives only
	// to a process of one thread. A Go program never is one, unshare(1) is.
	runtime.UnlockOSThread()
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return errors.New("enter the lab: the program unshare is missing: install util-linux, or run this as root")
	}
	args := []string{"unshare", "-Urn", "--"}
	if out, err := exec.Command(unshare, append(args[1:], "true")...).CombinedOutput(); err != nil {
		return fmt.Errorf("enter the lab: %s: %s", strings.TrimSpace(string(out)), remedy())
	}
	args = append(append(args, program), os.Args[1:]...)
	return fmt.Errorf("enter the lab: %w", syscall.Exec(unshare, args, env))
}

// remedy is what to do where user namespaces are forbidden.
func remedy() string {
	for _, setting := range []struct{ file, forbids, remedy string }{
		{"user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"},
		{"kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		b, err := os.ReadFile("/proc/sys/" + setting.file)
		if err == nil && strings.TrimSpace(string(b)) == setting.forbids {
			return "this system forbids user namespaces: allow them (sudo " + setting.remedy + "), or run this as root"
		}
	}
	return "run this as root; in a container give it --cap-add SYS_ADMIN --cap-add NET_ADMIN"
}
