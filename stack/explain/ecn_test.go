package explain

import (
	"fmt"
	"strings"
	"testing"

	"rawnc/stack"
)

// RFC 3168, section 6.1: the offer, the mark, the echo, the answer.
func TestECN(t *testing.T) {
	const ece, cwr = stack.ECE, stack.CWR
	for name, tc := range map[string]struct {
		syn, synACK stack.Flags
		agreed      bool
		captured    bool
	}{
		"agreed":        {syn | ece | cwr, syn | ack | ece, true, true},
		"refused":       {syn | ece | cwr, syn | ack, false, true},
		"mirrored":      {syn | ece | cwr, syn | ack | ece | cwr, false, true},
		"not asked for": {syn, syn | ack | ece, false, true},
		"not captured":  {captured: false, agreed: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDialogue()
			want := map[int]string{3: "a router has marked the packet", 4: "ECE: a packet came to", 6: "CWR: "}
			if tc.captured {
				d.client(tc.syn, 0, 0, "")
				d.server(tc.synACK, 0, 1, "")
				if tc.agreed {
					want[0], want[1] = "offers explicit congestion notification", "agrees to explicit"
				}
			} else {
				d.client(psh|ack, -5, 1, "12345")
				d.server(ack, 1, 0, "")
			}
			d.client(ack, 1, 1, "")
			d.client(ack, 1, 1, "abc").Segment.ECN = stack.CE
			d.server(ack|ece, 1, 4, "")
			d.server(ack|ece, 1, 4, "")
			d.client(psh|ack|cwr, 4, 1, "def").Segment.ECN = stack.ECT0
			d.server(ack, 1, 7, "")
			accounts, _ := d.tell()
			for i, a := range accounts {
				text := fmt.Sprint(said(a), a.Why)
				if says := strings.Contains(text, "ECE: ") || strings.Contains(text, "CWR: ") || strings.Contains(text, "CE)"); i > 2 && !tc.agreed && says {
					t.Errorf("segment %d: %s", i, text)
				}
				if phrase := want[i]; tc.agreed && phrase != "" && !strings.Contains(text, phrase) {
					t.Errorf("segment %d does not say %q: %s", i, phrase, text)
				}
			}
			if tc.agreed && strings.Contains(said(accounts[5]), "ECE:") {
				t.Errorf("the second echo is told again: %s", said(accounts[5]))
			}
		})
	}
}
