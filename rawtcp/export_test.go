package rawtcp

// For the external tests, which run hosts in network namespaces.
var NewRawLink = newRawLink
