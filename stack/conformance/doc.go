// Package conformance keeps docs/conformance.md: which requirement of RFC 9293
// and its companions is met, and which test shows it.
//
// A test bears the ids of the requirements that it shows, in its doc comment or
// in a comment inside it, wherever they are said:
//
//	// SHLD-29, SHLD-30: the first probe after one RTO, then ever more seldom.
//	func TestZeroWindowProbes(t *testing.T) {
//
// RFC 9293's ids are its own; those of the other RFCs are the RFC, the section
// and a letter, as RFC5961-3.2-b. requirements.txt has them all, with their
// sentences. A test bears an id only if it fails when the requirement is broken.
// To mention an id in a test that does not show it, name the section instead.
//
// What is not tested is argued away in requirements.txt. After a test has got its
// ids, write the page anew with
//
//	go test ./stack/conformance -update
package conformance
