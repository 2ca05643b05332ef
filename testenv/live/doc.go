// Package live holds the tests of the sensor on real traffic: programs that talk in network namespaces, the wirelake binary
// between them, and tcpdump beside it as witness.
package live
