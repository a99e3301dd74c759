package rawtcp

import (
	"context"
	"net"
	"slices"

	"rawnc/stack"
)

// Urgent is how many octets are to be read, and perhaps to arrive yet, before
// the urgent data end. A Read ends there: SIOCATMARK is Urgent() == 0 after it.
func (c *Conn) Urgent() int {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	return c.tcp.Urgent()
}

// Report waits for something that an application should know at once (RFC 9293,
// section 3.9.1.8): that there are urgent data, for one. Call it from a goroutine
// of its own, again and again, or never. Of several reports of one kind, the
// newest is kept. The error is the context's, or tells that the connection is over.
func (c *Conn) Report(ctx context.Context) (stack.Report, error) {
	h := c.host
	defer h.wakeWith(ctx, &c.canWrite)()
	h.mu.Lock()
	defer h.unlock()
	for {
		switch {
		case len(c.reports) > 0:
			r := c.reports[0]
			c.reports = c.reports[1:]
			return r, nil
		case c.closed, c.tcp.State() == stack.StateClosed:
			return stack.Report{}, c.opError("report", net.ErrClosed)
		case ctx.Err() != nil:
			return stack.Report{}, c.opError("report", ctx.Err())
		}
		c.canWrite.wait()
	}
}

// reported keeps what the stack reports. That nothing gets through is advice for IP,
// too (RFC 9293, section 3.8.3): the kernel routes each packet anew and minds its
// neighbours itself; what we keep of the route is its MTU, which is asked again.
func (c *Conn) reported(r stack.Report) {
	if r.Kind == stack.ReportUnanswered {
		c.tooBig = true
	}
	c.reports = slices.DeleteFunc(c.reports, func(old stack.Report) bool { return old.Kind == r.Kind })
	c.reports = append(c.reports, r)
	c.canWrite.broadcast()
}
