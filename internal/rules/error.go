package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a rules file.
type Problem struct {
	Line   int // from 1; 0 for the file as a whole
	Column int // from 1; 0 for the line as a whole
	Reason string
}

// Error holds all problems of a rules file, in the order of its lines.
type Error struct {
	File     string
	Problems []Problem
}

// Error writes a line for each problem, FILE:LINE:COLUMN: REASON.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		at := e.File
		if p.Line > 0 {
			at += fmt.Sprintf(":%d", p.Line)
		}
		if p.Column > 0 {
			at += fmt.Sprintf(":%d", p.Column)
		}
		lines[i] = at + ": " + p.Reason
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds what is told of a file that is wrong all over.
const maxProblems = 100

func (e *Error) add(line, column int, format string, args ...any) {
	if len(e.Problems) < maxProblems {
		e.Problems = append(e.Problems, Problem{line, column, fmt.Sprintf(format, args...)})
	}
}

func (e *Error) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	slices.SortStableFunc(e.Problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return e
}
