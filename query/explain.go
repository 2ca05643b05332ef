package query

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteText writes the explanation for people, the engines that were asked indented below the planner.
func (e *Explain) WriteText(w io.Writer) {
	var b strings.Builder
	e.write(&b, "")
	_, _ = io.WriteString(w, b.String()) // a terminal
}

func (e *Explain) write(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s%s: %d sessions in %v", indent, e.Engine, e.Rows, e.Took.Round(time.Microsecond))
	if e.Gets > 0 {
		fmt.Fprintf(b, ", %d GETs, %d bytes", e.Gets, e.Bytes)
	}
	b.WriteByte('\n')
	for _, s := range e.Steps {
		fmt.Fprintf(b, "%s  %s: %d of %d read, %d skipped\n", indent, s.What, s.Total-s.Skipped, s.Total, s.Skipped)
	}
	for _, n := range e.Notes {
		fmt.Fprintf(b, "%s  %s\n", indent, n)
	}
	for _, part := range e.Parts {
		part.write(b, indent+"  ")
	}
}
