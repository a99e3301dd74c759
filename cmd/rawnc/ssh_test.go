//go:build linux

package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rawnc/rawtcp/lab/labtest"
)

// ssh goes through rawnc, and moves a file each way.
func TestSSH(t *testing.T) {
	t.Parallel()
	labtest.NeedRoot(t)
	labtest.NeedPrograms(t, "ssh", "sshd", "ssh-keygen", "unshare")
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sshd, err := exec.LookPath("sshd") // it wants to be called by its path
	if err != nil {
		t.Fatal(err)
	}
	write("sshd_config", fmt.Sprintf("Port 2222\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nStrictModes no\nPidFile none\nPasswordAuthentication no\nUsePAM no\n", dir, dir))
	write("ssh_config", fmt.Sprintf("Host peer\nHostName 192.0.2.2\nPort 2222\nUser root\nIdentityFile %s/user\nIdentitiesOnly yes\nUserKnownHostsFile /dev/null\nStrictHostKeyChecking no\nLogLevel error\nProxyCommand rawnc connect --quiet %%h %%p\n", dir))
	content := make([]byte, 3<<20+7)
	rand.Read(content)
	write("file", string(content))

	pair := labtest.NewPair(t)
	// sshd wants /run/sshd, which a machine may lack.
	start(t, pair.B.Command("unshare", "--mount", "sh", "-ec",
		"mount -t tmpfs tmpfs /run; mkdir /run/sshd; exec "+sshd+" -D -e -f "+dir+"/sshd_config"))
	listening(t, pair.B, "2222")
	for direction, command := range map[string]string{
		"there": fmt.Sprintf("ssh -F %[1]s/ssh_config peer 'cat >%[1]s/there' <%[1]s/file", dir),
		"back":  fmt.Sprintf("ssh -F %[1]s/ssh_config peer 'cat %[1]s/file' >%[1]s/back", dir),
	} {
		ssh := start(t, pair.A.Command("sh", "-c", command))
		ssh.ends(0)
		if got := ssh.stderr.text(); got != "" {
			t.Errorf("%s: stderr is %q", direction, got)
		}
		got, err := os.ReadFile(filepath.Join(dir, direction))
		if err != nil || string(got) != string(content) {
			t.Errorf("%s: the file is not what it was (%v)", direction, err)
		}
	}
	// ssh ends its proxy with a signal, and the server learns of it.
	eventually(t, "the server does not learn that the client has gone", func() bool {
		out, err := pair.B.Run("ss", "-Htn", "state", "established")
		return err == nil && strings.TrimSpace(out) == ""
	})
}
