package explain

import (
	"strings"
	"testing"
	"time"

	"rawnc/stack"
)

// A probe that comes when the timeout would is told as such, not by the arithmetic
// of two round trips (RFC 8985, section 7.2).
func TestTailProbeInPlaceOfTheTimeout(t *testing.T) {
	for inPlace, phrase := range map[bool]string{true: "the retransmission timer would have run out now", false: "twice the round trip of"} {
		d := newDialogue()
		d.handshake()
		d.client(psh|ack, 1, 1, "hello")
		d.wait(200*time.Millisecond).client(psh|ack, 1, 1, "hello").Live = &Live{Sent: true, Reason: stack.Reason{
			Kind:  stack.ReasonTailProbe,
			Timer: stack.Timing{Waited: 200 * time.Millisecond, SRTT: time.Millisecond, RTTVar: time.Millisecond, InPlace: inPlace},
		}}
		accounts, _ := d.tell()
		if text := said(accounts[4]); !strings.Contains(text, phrase) {
			t.Errorf("it does not say %q: %s", phrase, text)
		}
	}
}
