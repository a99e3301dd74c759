package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"time"

	"rawnc/stack"
)

// object is the account in JSON. The names are stable: docs/ has them.
type object struct {
	Frame      *int         `json:"frame"`
	Time       jsonSeconds  `json:"time"`
	Stream     int          `json:"stream"`
	Src        netip.Addr   `json:"src"`
	SrcPort    uint16       `json:"src_port"`
	Dst        netip.Addr   `json:"dst"`
	DstPort    uint16       `json:"dst_port"`
	Flags      []string     `json:"flags"`
	Seq        *uint32      `json:"seq"`
	Ack        *uint32      `json:"ack"`
	NextSeq    *uint32      `json:"next_seq"`
	SeqRaw     stack.Seq    `json:"seq_raw"`
	AckRaw     *stack.Seq   `json:"ack_raw"`
	NextSeqRaw stack.Seq    `json:"next_seq_raw"`
	Len        int          `json:"len"`
	Window     int          `json:"window"`
	WindowRaw  uint16       `json:"window_raw"`
	Options    jsonOptions  `json:"options"`
	AcksFrame  *int         `json:"acks_frame"`
	AckRTT     *jsonSeconds `json:"ack_rtt"`
	InFlight   *int         `json:"bytes_in_flight"`
	Analysis   []string     `json:"analysis"`
	Checksum   string       `json:"checksum"`
	State      jsonStates   `json:"state"`
	Why        []string     `json:"why"`
	Reason     string       `json:"reason,omitempty"`
}

type jsonOptions struct {
	MSS           uint16     `json:"mss,omitempty"`
	SACKPermitted bool       `json:"sack_permitted,omitempty"`
	WindowScale   *uint8     `json:"window_scale,omitempty"`
	TSVal         *uint32    `json:"tsval,omitempty"`
	TSEcr         *uint32    `json:"tsecr,omitempty"`
	SACK          []jsonSACK `json:"sack,omitempty"`
	UserTimeout   uint16     `json:"user_timeout,omitempty"`
}

type jsonSACK struct {
	Left  stack.Seq `json:"left_raw"`
	Right stack.Seq `json:"right_raw"`
}

// jsonStates are the states of the sender and the receiver.
type jsonStates struct {
	Src *string `json:"src"`
	Dst *string `json:"dst"`
}

// jsonSeconds is a duration in seconds, to the nanosecond.
type jsonSeconds time.Duration

// MarshalJSON writes a number with nine decimals.
func (s jsonSeconds) MarshalJSON() ([]byte, error) {
	sign, d := "", time.Duration(s)
	if d < 0 {
		sign, d = "-", -max(d, -math.MaxInt64)
	}
	return fmt.Appendf(nil, "%s%d.%09d", sign, d/time.Second, d%time.Second), nil
}

// JSON is the account as one line of JSON, with the newline. Where a value is
// not known or does not apply, it is null.
func JSON(a *Account) []byte {
	o := object{
		Time: jsonSeconds(a.Since), Stream: a.Stream,
		Src: a.Src.Addr(), SrcPort: a.Src.Port(), Dst: a.Dst.Addr(), DstPort: a.Dst.Port(),
		Flags: a.Flags.Names(),
		Seq:   a.Seq.json(), NextSeq: a.Next.json(),
		SeqRaw: a.Seq.Raw, NextSeqRaw: a.Next.Raw,
		Len: len(a.Payload), Window: a.Window, WindowRaw: a.WindowRaw, Options: a.jsonOptions(),
		Analysis: a.Analysis, Checksum: a.Checksum.String(),
		State: jsonStates{a.SrcState.json(), a.DstState.json()},
		Why:   make([]string, len(a.Why)),
	}
	if a.Frame != 0 {
		o.Frame = &a.Frame
	}
	if a.Flags.Has(stack.ACK) {
		o.Ack, o.AckRaw = a.Ack.json(), &a.Ack.Raw
	}
	if a.AcksFrame != 0 {
		o.AcksFrame, o.AckRTT = &a.AcksFrame, (*jsonSeconds)(&a.AckRTT)
	}
	if len(a.Payload) > 0 {
		o.InFlight = &a.BytesInFlight
	}
	if o.Flags == nil {
		o.Flags = []string{}
	}
	if o.Analysis == nil {
		o.Analysis = []string{}
	}
	for i, why := range a.Why {
		o.Why[i] = a.Say(why)
	}
	if reason, ok := a.reason(); ok {
		o.Reason = a.Say(reason)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		panic(err) // there is nothing in it that JSON cannot hold
	}
	return b.Bytes()
}

func (a *Account) jsonOptions() jsonOptions {
	opt := &a.Options
	o := jsonOptions{MSS: opt.MSS, SACKPermitted: opt.SACKPermitted, UserTimeout: opt.UserTimeout}
	if opt.HasWindowScale {
		o.WindowScale = &opt.WindowScale
	}
	if opt.HasTimestamps {
		o.TSVal, o.TSEcr = &opt.TSVal, &opt.TSEcr
	}
	for _, b := range opt.Blocks() {
		o.SACK = append(o.SACK, jsonSACK(b))
	}
	return o
}

func (n Number) json() *uint32 {
	if !n.Known {
		return nil
	}
	return &n.Rel
}

func (s State) json() *string {
	if !s.Known {
		return nil
	}
	name := s.String()
	return &name
}
