// Package soak runs sensor, compactor and query together under replayed traffic, with faults at random, and strikes the
// balance of packets: what was sent is in the archive, or counted as lost. `make soak` runs it for long.
package soak
