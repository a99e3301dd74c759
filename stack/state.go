package stack

import "fmt"

// State is the state of a connection (RFC 9293, section 3.3.2).
type State uint8

// The eleven states.
const (
	StateClosed State = iota
	StateListen
	StateSynSent
	StateSynReceived
	StateEstablished
	StateFinWait1
	StateFinWait2
	StateCloseWait
	StateClosing
	StateLastAck
	StateTimeWait
)

var stateNames = [...]string{
	"CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT",
}

func (s State) String() string { return stateNames[s] }

// Synchronized reports whether both ends know each other's initial sequence
// number: ESTABLISHED and every later state.
func (s State) Synchronized() bool { return s >= StateEstablished }

// Cause is why a connection changed its state.
type Cause uint8

// The causes of a transition.
const (
	CauseActiveOpen   Cause = iota // the application opened the connection
	CausePassiveOpen               // the application waits for a peer
	CauseSYN                       // a SYN arrived
	CauseSYNACK                    // a SYN,ACK arrived that acknowledges our SYN
	CauseAckOfSYN                  // our SYN was acknowledged
	CauseClose                     // the application closed its sending side
	CauseFIN                       // a FIN arrived
	CauseAckOfFIN                  // our FIN was acknowledged
	CauseFINAndAck                 // a FIN arrived that acknowledges ours too
	CauseRST                       // a RST arrived
	CauseAbort                     // the application aborted
	CauseTimeout                   // the peer did not answer for too long
	CauseTimeWaitOver              // twice the maximum segment lifetime has passed
	CauseICMP                      // the network refused the connection
	CauseCookie                    // an ACK gave back the cookie that answered its SYN
)

// A Transition is one change of state and its cause.
type Transition struct {
	From, To State
	Cause    Cause
}

// transitions are the arrows of RFC 9293, figure 5, with those its text adds:
// every state may fall back to CLOSED by a reset, an abort or a timeout.
var transitions = map[[2]State]bool{
	{StateClosed, StateListen}:           true,
	{StateClosed, StateSynSent}:          true,
	{StateListen, StateSynReceived}:      true,
	{StateListen, StateSynSent}:          true,
	{StateSynSent, StateSynReceived}:     true,
	{StateSynSent, StateEstablished}:     true,
	{StateSynReceived, StateEstablished}: true,
	{StateSynReceived, StateFinWait1}:    true,
	{StateSynReceived, StateListen}:      true,
	{StateSynReceived, StateCloseWait}:   true,
	{StateEstablished, StateFinWait1}:    true,
	{StateEstablished, StateCloseWait}:   true,
	{StateFinWait1, StateFinWait2}:       true,
	{StateFinWait1, StateClosing}:        true,
	{StateFinWait1, StateTimeWait}:       true,
	{StateFinWait2, StateTimeWait}:       true,
	{StateCloseWait, StateLastAck}:       true,
	{StateClosing, StateTimeWait}:        true,
}

// setState is the one place where the state changes.
func (c *Conn) setState(to State, cause Cause) {
	from := c.state
	if from == to {
		return
	}
	if to != StateClosed && !transitions[[2]State{from, to}] {
		panic(fmt.Sprintf("stack: no transition from %v to %v", from, to))
	}
	c.state = to
	if c.cfg.Watch != nil {
		c.cfg.Watch(Event{Transition: &Transition{From: from, To: to, Cause: cause}})
	}
}
