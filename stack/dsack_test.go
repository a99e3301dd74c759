package stack_test

import (
	"testing"

	"rawnc/stack"
)

// RFC 2883, section 4: the first SACK block says what arrived twice, once for
// each time.

// RFC2883-4-a.
func TestDSACK(t *testing.T) {
	d := established(t, stack.Config{NoTimestamps: true}, sackOK())
	d.data(1, 1000, 1)
	d.data(1001, 1000, 1)
	d.expect("ACK", ack(2001))
	d.data(1, 1000, 1) // 4.1: below the Ack
	d.expect("ACK", ack(2001), sack(1, 1001), why(stack.ReasonOldDataACK))
	d.data(4001, 1000, 1) // said once, not again
	d.expect("ACK", ack(2001), sack(4001, 5001))
	d.data(1001, 1000, 1) // 4.1.2: below the Ack, while something is held
	d.expect("ACK", ack(2001), sack(1001, 2001, 4001, 5001))
	d.data(4001, 1000, 1) // 4.2: within what is held, which the second block is then
	d.expect("ACK", ack(2001), sack(4001, 5001, 4001, 5001))
}

// What is new in a segment is taken, what is not is reported.
func TestDSACKOfAPart(t *testing.T) {
	d := established(t, stack.Config{NoTimestamps: true, DelayedACK: -1}, sackOK())
	d.data(1, 1000, 1)
	d.expect("ACK", ack(1001))
	d.data(501, 1000, 1)
	d.expect("ACK", ack(1501), sack(501, 1001))
	d.data(2001, 500, 1)
	d.expect("ACK", ack(1501), sack(2001, 2501))
	d.data(1501, 1000, 1) // fills the hole and covers what was held
	d.expect("ACK", ack(2501), sack(2001, 2501))
	d.data(1, 1, 1) // a SYN and a FIN take a number, but are no data
	d.expect("ACK", ack(2501), sack(1, 2))
	d.send("FIN,ACK", seq(2501), ack(1))
	d.expect("ACK", ack(2502))
	d.send("FIN,ACK", seq(2501), ack(1))
	d.expect("ACK", ack(2502))
}

// Data carries the block too, and leaves room for it.
func TestDSACKOnData(t *testing.T) {
	d := established(t, stack.Config{NoTimestamps: true, DelayedACK: -1}, sackOK())
	d.data(1, 1000, 1)
	d.expect("ACK", ack(1001))
	d.arrive("ACK", seq(1), ack(1), length(1000))
	d.writeN(1000)
	d.expect("ACK", seq(1), ack(1001), length(1000-12), sack(1, 1001))
}

func TestNoDSACKWithoutSACK(t *testing.T) {
	d := established(t, stack.Config{DelayedACK: -1})
	d.data(1, 1000, 1)
	d.expect("ACK", ack(1001))
	d.data(1, 1000, 1)
	d.expect("ACK", ack(1001))
}
