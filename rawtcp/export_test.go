package rawtcp

// For the external tests, which run hosts in network namespaces.
var NewRawLink = newRawLink

// Left is how many connections a host remembers, and for how many it has a timer.
func (h *Host) Left() (conns, deadlines int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.conns), len(h.deadlines)
}
