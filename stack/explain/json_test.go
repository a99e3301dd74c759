package explain

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rawnc/stack"
)

// object is what docs/json.md promises.
type object struct {
	Frame         *int         `json:"frame"`
	Time          json.Number  `json:"time"`
	Stream        int          `json:"stream"`
	Src           string       `json:"src"`
	SrcPort       uint16       `json:"src_port"`
	Dst           string       `json:"dst"`
	DstPort       uint16       `json:"dst_port"`
	Flags         []string     `json:"flags"`
	ECN           string       `json:"ecn,omitempty"`
	Seq           *uint32      `json:"seq"`
	Ack           *uint32      `json:"ack"`
	NextSeq       *uint32      `json:"next_seq"`
	SeqRaw        uint32       `json:"seq_raw"`
	AckRaw        *uint32      `json:"ack_raw"`
	NextSeqRaw    uint32       `json:"next_seq_raw"`
	Len           int          `json:"len"`
	Window        int          `json:"window"`
	WindowRaw     uint16       `json:"window_raw"`
	Options       options      `json:"options"`
	AcksFrame     *int         `json:"acks_frame"`
	AckRTT        *json.Number `json:"ack_rtt"`
	BytesInFlight *int         `json:"bytes_in_flight"`
	DupAckNum     int          `json:"duplicate_ack_num,omitempty"`
	DupAckFrame   int          `json:"duplicate_ack_frame,omitempty"`
	RTO           json.Number  `json:"rto,omitempty"`
	RTOFrame      int          `json:"rto_frame,omitempty"`
	Analysis      []string     `json:"analysis"`
	Checksum      string       `json:"checksum"`
	State         struct {
		Src *string `json:"src"`
		Dst *string `json:"dst"`
	} `json:"state"`
	Why    []string `json:"why"`
	Reason string   `json:"reason,omitempty"`
}

type options struct {
	MSS           uint16  `json:"mss,omitempty"`
	SACKPermitted bool    `json:"sack_permitted,omitempty"`
	WindowScale   *uint8  `json:"window_scale,omitempty"`
	TSVal         *uint32 `json:"tsval,omitempty"`
	TSEcr         *uint32 `json:"tsecr,omitempty"`
	SACK          []block `json:"sack,omitempty"`
	UserTimeout   uint16  `json:"user_timeout,omitempty"`
}

type block struct {
	Left  uint32 `json:"left_raw"`
	Right uint32 `json:"right_raw"`
}

// eventful is a conversation in which every field of the JSON has its turn.
func eventful() *dialogue {
	d := newDialogue()
	d.handshake()
	d.inputs[0].Segment.Options.UserTimeout = 300
	d.client(psh|ack, 1, 1, "abc").Segment.ECN = stack.ECT0
	d.client(psh|ack, 7, 1, "ghi")
	for range 2 {
		opt := &d.server(ack, 1, 4, "").Segment.Options
		opt.SACKCount = 2
		opt.SACK[0] = stack.SACKBlock{Left: d.clientISN.Add(7), Right: d.clientISN.Add(10)}
		opt.SACK[1] = stack.SACKBlock{Left: d.clientISN.Add(20), Right: d.clientISN.Add(21)}
	}
	d.wait(time.Second).client(psh|ack, 4, 1, "def").Checksum = stack.ChecksumPartial
	d.server(ack, 1, 10, "")
	d.wait(time.Second).client(psh|ack, 4, 1, "def").Live = &Live{
		Sent: true, Reason: stack.Reason{Kind: stack.ReasonRetransmitTimeout, N: 2}, SendError: errors.New(`it says "no" \ and <that> is all`),
	}
	d.server(rst, 1, 0, "")
	d.wait(-time.Hour).server(0, 1, 0, "")
	return d
}

func TestJSON(t *testing.T) {
	accounts, _ := eventful().tell()
	for _, a := range accounts {
		line := JSON(a)
		if !bytes.HasSuffix(line, []byte("}\n")) || bytes.Count(line, []byte("\n")) != 1 {
			t.Errorf("not one line: %q", line)
		}
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		var got object
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		var again bytes.Buffer
		enc := json.NewEncoder(&again)
		enc.SetEscapeHTML(false)
		enc.Encode(got)
		if diff := cmp.Diff(again.String(), string(line)); diff != "" {
			t.Errorf("-encoding/json +ours:\n%s", diff)
		}
		if got.SeqRaw != uint32(a.Seq.Raw) || got.Len != a.Len || got.Src != a.Src.Addr().String() || got.DstPort != a.Dst.Port() {
			t.Errorf("%s is not what the account says: %+v", line, a)
		}
		for i, why := range a.Why {
			if got.Why[i] != a.Say(why) {
				t.Errorf("why %q, want %q", got.Why[i], a.Say(why))
			}
		}
	}
	var refused, late object
	json.Unmarshal(JSON(accounts[9]), &refused)
	if refused.Frame != nil || !strings.Contains(refused.Reason, "timer has run out 2 times in a row") || !strings.Contains(strings.Join(refused.Why, " "), `it says "no" \ and <that> is all`) {
		t.Errorf("what was never sent has no frame, but a reason: %+v", refused)
	}
	json.Unmarshal(JSON(accounts[11]), &late)
	if !strings.HasPrefix(late.Time.String(), "-3597.") || late.Ack != nil || late.Flags == nil {
		t.Errorf("a time before the first, no flags, no Ack: %+v", late)
	}
}

// docs/json.md has every field of a segment, and no other.
func TestJSONIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ = bytes.Cut(doc, []byte("## ICMP errors")) // which explain does not write
	var have, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` ").FindAllSubmatch(doc, -1) {
		have = append(have, string(m[1]))
	}
	var list func(prefix string, of reflect.Type)
	list = func(prefix string, of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Type.Kind() == reflect.Struct {
				list(name+".", f.Type)
			} else {
				want = append(want, prefix+name)
			}
		}
	}
	list("", reflect.TypeFor[object]())
	slices.Sort(have)
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("-fields +docs:\n%s", diff)
	}
}
