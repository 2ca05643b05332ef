// Package sigma converts Sigma rules for network traffic to expressions of wirelake's search language.
//
// It evaluates nothing: what it makes is evaluated, searched and pasted as any other expression. A rule is converted
// when a session can answer it; all others are told with their line and why, or counted when they are not for networks.
//
// A session is not an event of a log: it may hold many requests, and a field then has all of their values. What a
// rule asks of one event is asked of the session.
//
// Specification: Sigma Rules Specification 2.1.0 and its appendices on modifiers, taxonomy and tags.
// docs/rules.md has the table of log sources and fields.
package sigma
