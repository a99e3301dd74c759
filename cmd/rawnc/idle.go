package main

import (
	"time"

	"rawnc/rawtcp"
	"rawnc/stack"
)

// idleness notices that nothing moves on a connection: nothing new arrives,
// nothing new is acknowledged.
type idleness struct {
	ticks <-chan time.Time // nil without a limit
	stop  func()

	conn            *rawtcp.Conn
	received, acked stack.Seq
	still, enough   int // ticks
}

func newIdleness(conn *rawtcp.Conn, limit time.Duration) *idleness {
	if limit == 0 {
		return &idleness{stop: func() {}}
	}
	const parts = 20
	ticker := time.NewTicker(limit / parts)
	return &idleness{ticks: ticker.C, stop: ticker.Stop, conn: conn, enough: parts}
}

// over reports, at a tick, whether it has lasted long enough.
func (i *idleness) over() bool {
	now := i.conn.Snapshot()
	if now.RcvNxt != i.received || now.SndUna != i.acked {
		i.received, i.acked, i.still = now.RcvNxt, now.SndUna, 0
	}
	i.still++
	return i.still > i.enough
}
