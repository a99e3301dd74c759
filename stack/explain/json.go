package explain

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"rawnc/stack"
)

// JSON is the account as one line of JSON, with the newline. Where a value is
// not known or does not apply, it is null. The names are stable: docs/json.md
// has them.
func JSON(a *Account) []byte { return AppendJSON(nil, a) }

// AppendJSON appends JSON(a) to b.
//
// It is written out, field by field, because encoding/json would take longer
// than everything else that explain does. That package judges it in the tests.
func AppendJSON(b []byte, a *Account) []byte {
	b = append(b, `{"frame":`...)
	b = appendInt(b, a.Frame, a.Frame != 0)
	b = append(b, `,"time":`...)
	b = appendSeconds(b, a.Since)
	b = appendField(b, "stream", a.Stream)
	b = append(b, `,"src":"`...)
	b = a.Src.Addr().AppendTo(b)
	b = appendField(append(b, '"'), "src_port", a.Src.Port())
	b = append(b, `,"dst":"`...)
	b = a.Dst.Addr().AppendTo(b)
	b = appendField(append(b, '"'), "dst_port", a.Dst.Port())

	b = append(b, `,"flags":`...)
	b = append(b, flagLists[a.Flags]...)
	if a.ECN != stack.NotECT {
		b = append(append(append(b, `,"ecn":"`...), a.ECN.String()...), '"')
	}
	ack := a.Flags.Has(stack.ACK)
	b = append(b, `,"seq":`...)
	b = appendInt(b, a.Seq.Rel, a.Seq.Known)
	b = append(b, `,"ack":`...)
	b = appendInt(b, a.Ack.Rel, a.Ack.Known && ack)
	b = append(b, `,"next_seq":`...)
	b = appendInt(b, a.Next.Rel, a.Next.Known)
	b = appendField(b, "seq_raw", a.Seq.Raw)
	b = append(b, `,"ack_raw":`...)
	b = appendInt(b, a.Ack.Raw, ack)
	b = appendField(b, "next_seq_raw", a.Next.Raw)
	b = appendField(b, "len", a.Len)
	b = appendField(b, "window", a.Window)
	b = appendField(b, "window_raw", a.WindowRaw)
	b = append(b, `,"options":{`...)
	b = appendOptions(b, &a.Options)

	b = append(b, `},"acks_frame":`...)
	b = appendInt(b, a.AcksFrame, a.AcksFrame != 0)
	b = append(b, `,"ack_rtt":`...)
	if a.AcksFrame != 0 {
		b = appendSeconds(b, a.AckRTT)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `,"bytes_in_flight":`...)
	b = appendInt(b, a.BytesInFlight, a.BytesInFlight > 0)
	if a.DupAckNum != 0 {
		b = appendField(b, "duplicate_ack_num", a.DupAckNum)
	}
	if a.DupAckFrame != 0 {
		b = appendField(b, "duplicate_ack_frame", a.DupAckFrame)
	}
	if a.RTOFrame != 0 {
		b = append(b, `,"rto":`...)
		b = appendSeconds(b, a.RTO)
		b = appendField(b, "rto_frame", a.RTOFrame)
	}
	b = append(b, `,"analysis":[`...)
	for i, name := range a.Analysis {
		b = appendName(b, i, name)
	}
	b = append(b, `],"checksum":"`...)
	b = append(b, a.Checksum.String()...)
	b = append(b, `","state":{"src":`...)
	b = appendState(b, a.SrcState)
	b = append(b, `,"dst":`...)
	b = appendState(b, a.DstState)

	b = append(b, `},"why":[`...)
	for i, why := range a.Why {
		if i > 0 {
			b = append(b, ',')
		}
		b = a.appendString(b, why)
	}
	b = append(b, ']')
	if reason, ok := a.reason(); ok {
		b = a.appendString(append(b, `,"reason":`...), reason)
	}
	return append(b, "}\n"...)
}

type integer interface {
	~int | ~uint8 | ~uint16 | ~uint32
}

func appendInt[N integer](b []byte, n N, known bool) []byte {
	if !known {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(n), 10)
}

// appendField appends a number that is not the first field.
func appendField[N integer](b []byte, name string, n N) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	return strconv.AppendInt(append(b, '"', ':'), int64(n), 10)
}

// appendName appends a name, which has nothing to escape, to a list.
func appendName(b []byte, i int, name string) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), name...), '"')
}

// flagLists has the flags' names as a JSON array, for every set of them.
var flagLists = func() (lists [256]string) {
	for f := range lists {
		b := []byte{'['}
		for i, name := range stack.Flags(f).Names() {
			b = appendName(b, i, name)
		}
		lists[f] = string(append(b, ']'))
	}
	return lists
}()

func appendState(b []byte, s State) []byte {
	if !s.Known {
		return append(b, "null"...)
	}
	return appendName(b, 0, s.String())
}

// appendSeconds appends a time in seconds, to the nanosecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	if d < 0 {
		b, d = append(b, '-'), -max(d, -math.MaxInt64)
	}
	b = strconv.AppendInt(b, int64(d/time.Second), 10)
	b = append(b, '.')
	ns := d % time.Second
	for unit := time.Second / 10; unit > 0; unit /= 10 {
		b = append(b, byte('0'+ns/unit%10))
	}
	return b
}

// appendOptions appends the options that are present, as the fields of an object.
func appendOptions(b []byte, o *stack.Options) []byte {
	start := len(b)
	if o.MSS != 0 {
		b = appendField(b, "mss", o.MSS)
	}
	if o.SACKPermitted {
		b = append(b, `,"sack_permitted":true`...)
	}
	if o.HasWindowScale {
		b = appendField(b, "window_scale", o.WindowScale)
	}
	if o.HasTimestamps {
		b = appendField(b, "tsval", o.TSVal)
		b = appendField(b, "tsecr", o.TSEcr)
	}
	for i, block := range o.Blocks() {
		if i == 0 {
			b = append(b, `,"sack":[{`...)
		} else {
			b = append(b, `},{`...)
		}
		b = append(b, `"left_raw":`...)
		b = strconv.AppendUint(b, uint64(block.Left), 10)
		b = appendField(b, "right_raw", block.Right)
	}
	if o.SACKCount > 0 {
		b = append(b, "}]"...)
	}
	if o.UserTimeout != 0 {
		b = appendField(b, "user_timeout", o.UserTimeout)
	}
	if len(b) > start {
		b = append(b[:start], b[start+1:]...) // the first has no comma before it
	}
	return b
}

// appendString appends a sentence as a JSON string. Most have nothing to escape.
func (a *Account) appendString(b []byte, s Sentence) []byte {
	b = append(b, '"')
	start := len(b)
	var sp speech
	b = sp.append(b, a.voice, s.Format, s.Args)
	if sp.unclean {
		var quoted bytes.Buffer
		enc := json.NewEncoder(&quoted)
		enc.SetEscapeHTML(false)
		enc.Encode(string(b[start:])) // a string in memory: there is no error
		return append(b[:start-1], bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
	}
	return append(b, '"')
}

// clean reports whether a text stands in a JSON string as it is.
func clean(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.ValidString(text)
}
