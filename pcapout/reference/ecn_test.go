package reference_test

import (
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rawnc/pcapout/reference"
	"rawnc/stack/netsim"
)

// tshark sees the offer, the mark, the echo and the answer of RFC 3168, in the IP
// header and in TCP's.
func TestTsharkSeesECN(t *testing.T) {
	needTool(t, "tshark")
	s, err := reference.Load("loss-ecn")
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command("tshark", "-n", "-r", save(t, "loss-ecn", play(t, s, netsim.AtB)), "-T", "fields",
		"-e", "tcp.len", "-e", "ip.dsfield.ecn", "-e", "tcp.flags.ece", "-e", "tcp.flags.cwr").Output()
	if err != nil {
		t.Fatal(err)
	}
	const want = `0	0	1	1
0	0	1	0
0	0	0	0
1460	2	0	0
1460	2	0	0
0	0	0	0
1460	3	0	0
1460	2	0	0
0	0	1	0
1460	2	0	1
0	0	0	0
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
