package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
	"rawnc/rawtcp/wire"
	"rawnc/stack/explain"
	"rawnc/stack/fault"
)

// faults are the rules of --fault.
type faults []*fault.Rule

func readFaults(c *cli.Context) (faults, error) {
	var list faults
	for _, text := range c.StringSlice("fault") {
		rule, err := fault.Parse(text)
		if err == nil && rule.Simulated {
			err = errors.New("an ICMP error comes from a router, and so can only be simulated: see rawnc demo")
		}
		if err != nil {
			return nil, fmt.Errorf("--fault %q: %w", text, err)
		}
		list = append(list, rule)
	}
	return list, nil
}

// hits are the segments that our faults hit, until they have been told of.
type hits struct {
	mu            sync.Mutex
	local, remote netip.AddrPort // the ends of the connection
	waiting       []hit
}

type hit struct {
	packet []byte
	fate   *explain.Fate
}

// add takes what the link says of a packet that it is about to tell of.
func (h *hits) add(pkt []byte, fate *explain.Fate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, hit{bytes.Clone(pkt), fate})
}

// fate is what hit the packet that the link tells of; nil: nothing.
func (h *hits) fate(e *rawtcp.Event) *explain.Fate {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.local, h.remote = e.Local, e.Remote
	for i, hit := range h.waiting {
		if bytes.Equal(hit.packet, e.Packet) {
			h.waiting = h.waiting[i+1:]
			return hit.fate
		}
	}
	return nil
}

// missed is the event that there would have been of a packet of the peer's; nil
// if it is not of the connection.
func (h *hits) missed(pkt []byte) *rawtcp.Event {
	e := &rawtcp.Event{Time: time.Now(), Packet: bytes.Clone(pkt)}
	var p wire.Packet
	if wire.Parse(e.Packet, &p) != nil {
		return nil
	}
	e.Segment, e.Checksum = p.Segment, p.Checksum
	h.mu.Lock()
	defer h.mu.Unlock()
	e.Local, e.Remote = h.local, h.remote
	if p.Src != e.Remote.Addr().WithZone("") || p.SrcPort != e.Remote.Port() || p.Dst != e.Local.Addr().WithZone("") || p.DstPort != e.Local.Port() {
		return nil
	}
	return e
}

// withFaults puts faults into a link, and has the recorder tell what they hit.
func withFaults(link rawtcp.Link, list faults, r *recorder) rawtcp.Link {
	var rules fault.Rules
	for _, rule := range list {
		rules.Add(rule)
	}
	r.hits = new(hits)
	out := rawtcp.Faults{Seed: 1, Rules: &rules, Hit: func(pkt []byte, f fault.Fate) {
		r.hits.add(pkt, &explain.Fate{Ours: true, Lost: f.Drop, Corrupt: f.Corrupt, Copies: f.Copies})
	}}
	in := rawtcp.Faults{Seed: 1, Rules: &rules, Hit: func(pkt []byte, f fault.Fate) {
		switch {
		case f.Drop:
			if e := r.hits.missed(pkt); e != nil {
				r.later(2*len(e.Packet)+eventSize, func() { r.packet(e, &explain.Fate{Ours: true, Lost: true}) })
			}
		case f.Copies > 0:
			r.hits.add(pkt, &explain.Fate{Ours: true, Copy: true})
		}
	}}
	return rawtcp.WithFaults(link, out, in)
}
