package expr

import (
	"fmt"
	"unicode/utf8"
)

// Error says what is wrong with an expression, and where.
type Error struct {
	Column     int    // of the first character meant, from 1, in Unicode code points
	Length     int    // characters meant; 0 at the end of the text
	Message    string // one sentence without a stop
	Suggestion string // what was perhaps meant, "" for none
}

// Error returns the column, the message and the suggestion.
func (e *Error) Error() string {
	s := fmt.Sprintf("column %d: %s", e.Column, e.Message)
	if e.Suggestion != "" {
		s += fmt.Sprintf(" (did you mean %s?)", e.Suggestion)
	}
	return s
}

// span is a range of bytes of the text.
type span struct{ from, to int }

// errorAt makes an Error of a span of text.
func errorAt(text string, at span, format string, args ...any) *Error {
	return &Error{
		Column:  utf8.RuneCountInString(text[:at.from]) + 1,
		Length:  utf8.RuneCountInString(text[at.from:at.to]),
		Message: fmt.Sprintf(format, args...),
	}
}
