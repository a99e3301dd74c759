package script

import (
	"net/netip"
	"time"

	"rawnc/stack"
	"rawnc/stack/fault"
)

// A setting is something that an end, or the network, has.
type setting[T any] struct {
	words []string
	read  func(*fault.Words) (func(T), error)
}

// readSettings reads SETTING { "," SETTING }. The first word of a setting names
// it in the error.
func readSettings[T any](w *fault.Words, table []setting[T]) (func(T), error) {
	var all []func(T)
	for {
		set, err := readSetting(w, table)
		if err != nil {
			return nil, err
		}
		all = append(all, set)
		if !w.Take(",") {
			return func(t T) {
				for _, set := range all {
					set(t)
				}
			}, nil
		}
	}
}

func readSetting[T any](w *fault.Words, table []setting[T]) (func(T), error) {
	var names []string
	for _, s := range table {
		if w.Take(s.words...) {
			return s.read(w)
		}
		name := s.words[0]
		for _, more := range s.words[1:] {
			name += " " + more
		}
		names = append(names, name)
	}
	return nil, w.Expected("%s", fault.List(names))
}

// number is a setting that is a whole number.
func number[T any](least, most int64, set func(T, int64)) func(*fault.Words) (func(T), error) {
	return func(w *fault.Words) (func(T), error) {
		n, err := w.Number("a number", least, most)
		return func(t T) { set(t, n) }, err
	}
}

func duration[T any](set func(T, time.Duration)) func(*fault.Words) (func(T), error) {
	return func(w *fault.Words) (func(T), error) {
		d, err := w.Duration()
		return func(t T) { set(t, d) }, err
	}
}

func flag[T any](set func(T)) func(*fault.Words) (func(T), error) {
	return func(*fault.Words) (func(T), error) { return set, nil }
}

// endSettings are what the client or the server can have. They count from the
// next connection on.
var endSettings = []setting[*side]{
	{[]string{"iss"}, number(0, 1<<32-1, func(s *side, n int64) {
		s.iss, s.issUsed = stack.Seq(n), false
		if s.raw {
			s.view = fault.View{} // its next SYN begins here
		}
	})},
	{[]string{"mss"}, number(48, 65495, func(s *side, n int64) { s.cfg.MSS = int(n) })},
	{[]string{"mtu"}, number(68, 65535, func(s *side, n int64) { s.cfg.MTU = int(n) })},
	{[]string{"window"}, number(1, 1<<30, func(s *side, n int64) { s.cfg.ReceiveBuffer = int(n) })},
	{[]string{"send", "buffer"}, number(1, 1<<30, func(s *side, n int64) { s.cfg.SendBuffer = int(n) })},
	{[]string{"initial", "window"}, number(1, 1000, func(s *side, n int64) { s.cfg.InitialWindow = int(n) })},
	{[]string{"initial", "timeout"}, duration(func(s *side, d time.Duration) { s.cfg.InitialRTO = d })},
	{[]string{"least", "timeout"}, duration(func(s *side, d time.Duration) { s.cfg.MinRTO = d })},
	{[]string{"greatest", "timeout"}, duration(func(s *side, d time.Duration) { s.cfg.MaxRTO = d })},
	{[]string{"user", "timeout"}, duration(func(s *side, d time.Duration) { s.cfg.UserTimeout = d })},
	{[]string{"keep-alive", "interval"}, duration(func(s *side, d time.Duration) { s.cfg.KeepAliveInterval = d })},
	{[]string{"keep-alive", "count"}, number(1, 1000, func(s *side, n int64) { s.cfg.KeepAliveCount = int(n) })},
	{[]string{"keep-alive"}, duration(func(s *side, d time.Duration) { s.cfg.KeepAlive, s.cfg.KeepAliveIdle = true, d })},
	{[]string{"segment", "lifetime"}, duration(func(s *side, d time.Duration) { s.cfg.MSL = d })},
	{[]string{"delayed", "ACK"}, duration(func(s *side, d time.Duration) { s.cfg.DelayedACK = d })},
	{[]string{"no", "delayed", "ACK"}, flag(func(s *side) { s.cfg.DelayedACK = -1 })},
	{[]string{"no", "timestamps"}, flag(func(s *side) { s.cfg.NoTimestamps = true })},
	{[]string{"no", "SACK"}, flag(func(s *side) { s.cfg.NoSACK = true })},
	{[]string{"no", "window", "scaling"}, flag(func(s *side) { s.cfg.NoWindowScale = true })},
	{[]string{"ECN"}, flag(func(s *side) { s.cfg.ECN = true })},
	{[]string{"NewReno"}, flag(func(s *side) { s.cfg.Congestion = stack.NewReno })},
	{[]string{"no", "Nagle"}, flag(func(s *side) { s.cfg.NoDelay = true })},
	{[]string{"no", "listener"}, flag(func(s *side) { s.deaf = true })},
	{[]string{"no", "stack"}, flag(func(s *side) { s.raw, s.host.Silent = true, true })},
	{[]string{"port"}, number(1, 65535, func(s *side, n int64) { s.port = uint16(n) })},
	{[]string{"address"}, readAddress},
}

func readAddress(w *fault.Words) (func(*side), error) {
	col := *w
	text, err := w.Word("an IP address")
	if err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		return nil, col.Expected("an IPv4 or IPv6 address")
	}
	return func(s *side) { s.addr = addr }, nil
}

// paths are the two directions of the network, or one of them.
type paths []*side

func (p paths) each(f func(*side)) {
	for _, s := range p {
		f(s)
	}
}

// networkSettings are what the network can have. They count at once.
var networkSettings = []setting[paths]{
	{[]string{"delay"}, duration(func(p paths, d time.Duration) { p.each(func(s *side) { s.host.Out.Delay = d }) })},
	{[]string{"rate"}, number(1, 1e12, func(p paths, n int64) {
		p.each(func(s *side) {
			s.host.Out.Rate = int(n)
			s.host.Out.Queue = max(s.host.Out.Queue, 1)
		})
	})},
	{[]string{"queue"}, number(1, 1e6, func(p paths, n int64) { p.each(func(s *side) { s.host.Out.Queue = int(n) }) })},
	{[]string{"mtu"}, number(68, 65535, func(p paths, n int64) { p.each(func(s *side) { s.host.Out.MTU = int(n) }) })},
	{[]string{"no", "ICMP"}, flag(func(p paths) { p.each(func(s *side) { s.host.Out.Mute = true }) })},
	{[]string{"coalescing"}, duration(func(p paths, d time.Duration) { p.each(func(s *side) { s.host.Out.Coalesce = d }) })},
}
