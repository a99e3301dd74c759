// Package lab builds private networks with a real kernel TCP in them: Linux
// network namespaces joined by a virtual cable. They have no names and nothing
// but this process holds them, so that the kernel removes them when it ends,
// however it ends.
//
// A program that wants a far end to talk to calls Enter, which moves it into
// an empty network, and then Start, which puts a server at the far end. Tests
// that want both ends for themselves use NewPair.
package lab

// Mode is what the server at the far end does with a connection.
type Mode string

const (
	Sink Mode = "sink" // reads until the client has ended, then closes at once
	Echo Mode = "echo" // sends back what comes, byte for byte
	Chat Mode = "chat" // greets, and answers each line
)
