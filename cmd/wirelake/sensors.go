package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"wirelake/internal/objstore"
	"wirelake/internal/sensorstatus"
)

func newSensorsCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "sensors",
		Short: "Show how the sensors are",
		Long: `sensors prints a line for each sensor and each of its interfaces, from the status
objects that sensors write into the store every ten seconds.

A sensor is "ok", in "trouble" (packets come in, but an interface is down or uploads
fail), "losing" packets now or in the last minute, "stale" when nothing was heard of it for
thirty seconds, or "stopped" when it was stopped in order. Lost counts packets since
the sensor started, for all causes; spool is what the store does not have yet.`,
		Example: `  wirelake sensors --store s3://archive
  wirelake sensors --store s3://archive --format json | jq '.sensors[] | select(.state == "losing")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return usageErrorf("--format: %q is not one of table and json", format)
			}
			store, err := a.openExistingStore(cmd.Context(), "sensors")
			if err != nil {
				return err
			}
			return a.sensors(cmd.Context(), store, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) sensors(ctx context.Context, store objstore.Store, format string) error {
	now := time.Now().UTC()
	views, damaged, err := sensorstatus.List(ctx, store, now)
	if err != nil {
		return err
	}
	for _, err := range damaged {
		a.tell("wirelake: warning: %v\n", err)
	}
	if format == "json" {
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"now": now, "sensors": append([]sensorstatus.View{}, views...)})
	}
	if len(views) == 0 {
		a.tell("no sensor has written a status into %s\n", store.URL())
		return nil
	}
	return writeSensors(a.stdout, views, now, isTerminal(a.stdout))
}

// isTerminal reports whether colours are seen, and wanted (https://no-color.org).
func isTerminal(w io.Writer) bool {
	if os.Getenv("NO_COLOR") != "" {
		return false
	}
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// cell is a text of a table and its colour on terminals.
type cell struct{ text, colour string }

// Colours of terminals (ECMA-48, SGR).
const (
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	grey   = "\x1b[90m"
	plain  = "\x1b[0m"
)

func conditionColour(c sensorstatus.Condition) string {
	switch c {
	case sensorstatus.OK:
		return green
	case sensorstatus.Losing:
		return red
	case sensorstatus.Stale, sensorstatus.InTrouble:
		return yellow
	}
	return grey
}

// writeSensors prints the table: a row a sensor, below it one for each interface, and what is wrong.
func writeSensors(w io.Writer, views []sensorstatus.View, now time.Time, colours bool) error {
	rows := [][]cell{{{text: "SENSOR"}, {text: "STATE"}, {text: "AGE"}, {text: "PACKETS/s"}, {text: "BIT/s"}, {text: "DROPS/s"}, {text: "PACKETS"}, {text: "LOST"}, {text: "SPOOL"}, {text: "OLDEST"}, {text: "CLOCK"}}}
	notes := map[int][]cell{} // behind the row of this number
	for _, v := range views {
		var packets uint64
		var sum sensorstatus.Interface
		for _, i := range v.Interfaces {
			packets += i.Packets
			sum.PacketsPerSecond += i.PacketsPerSecond
			sum.BitsPerSecond += i.BitsPerSecond
			sum.DropsPerSecond += i.DropsPerSecond
		}
		old := v.Condition == sensorstatus.Stale || v.Condition == sensorstatus.Stopped // then rates are of the past
		rows = append(rows, append([]cell{{text: printable(v.Sensor)}, {string(v.Condition), conditionColour(v.Condition)}, {text: ageText(v.AgeSeconds)}},
			append(rateCells(sum, old), cell{text: count(packets)}, lossCell(v.Lost), cell{text: sizeText(uint64(max(v.Spool.BacklogBytes, 0)))},
				oldestCell(v, now), offsetCell(v.ClockOffset))...))
		for _, i := range v.Interfaces {
			state := cell{"up", grey}
			switch {
			case old:
				state = cell{}
			case !i.Up:
				state = cell{"down", yellow}
			}
			rows = append(rows, append([]cell{{text: "  " + printable(i.Name)}, state, {}},
				append(rateCells(i, old), cell{text: count(i.Packets)}, lossCell(i.KernelDrops), cell{}, cell{}, cell{})...))
			if i.Error != "" {
				notes[len(rows)-1] = append(notes[len(rows)-1], cell{"    " + printable(i.Error), yellow})
			}
		}
		for _, p := range v.Problems {
			notes[len(rows)-1] = append(notes[len(rows)-1], cell{"  ! " + printable(p), red})
		}
		if e := v.Error; e != nil && len(v.Problems) == 0 {
			text := fmt.Sprintf("  last error, %s ago: %s", ageText(max(now.Sub(e.Time).Seconds(), 0)), printable(e.Text))
			notes[len(rows)-1] = append(notes[len(rows)-1], cell{text, grey})
		}
	}
	return writeCells(w, rows, notes, colours)
}

func rateCells(i sensorstatus.Interface, old bool) []cell {
	if old {
		return []cell{{"-", grey}, {"-", grey}, {"-", grey}}
	}
	drops := cell{text: rate(i.DropsPerSecond)}
	if i.DropsPerSecond > 0 {
		drops.colour = red
	}
	return []cell{{text: rate(i.PacketsPerSecond)}, {text: rate(i.BitsPerSecond)}, drops}
}

func lossCell(n uint64) cell {
	if n == 0 {
		return cell{text: "0"}
	}
	return cell{count(n), red}
}

// oldestCell tells how old the oldest packet is that the store does not have.
func oldestCell(v sensorstatus.View, now time.Time) cell {
	if v.Spool.OldestUnsent.IsZero() {
		return cell{"-", grey}
	}
	return cell{text: ageText(max(now.Sub(v.Spool.OldestUnsent).Seconds(), 0))}
}

// offsetCell tells how far the sensor's clock is ahead of the store's.
func offsetCell(offset *float64) cell {
	const much = 2 // seconds: S3 tells times by the second
	switch {
	case offset == nil:
		return cell{"-", grey}
	case *offset > much || *offset < -much:
		return cell{fmt.Sprintf("%+.1fs", *offset), yellow}
	}
	return cell{text: fmt.Sprintf("%+.1fs", *offset)}
}

// writeCells aligns the columns: the first two to the left, numbers to the right.
func writeCells(w io.Writer, rows [][]cell, notes map[int][]cell, colours bool) error {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	paint := func(c cell) string {
		if !colours || c.colour == "" || c.text == "" {
			return c.text
		}
		return c.colour + c.text + plain
	}
	var b strings.Builder
	for n, r := range rows {
		line := &strings.Builder{}
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			if i > 0 {
				line.WriteString("  ")
			}
			if i < 2 {
				line.WriteString(paint(c) + pad)
			} else {
				line.WriteString(pad + paint(c))
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		for _, c := range notes[n] {
			b.WriteString(paint(c) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printable keeps what an object says from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// rate writes a number a second for people: "12.3k".
func rate(v float64) string {
	for _, unit := range []string{"", "k", "M", "G"} {
		switch {
		case v < 10 && (unit != "" || v != float64(int64(v))):
			return fmt.Sprintf("%.1f%s", v, unit)
		case v < 999.5:
			return fmt.Sprintf("%.0f%s", v, unit)
		}
		v /= 1000
	}
	return fmt.Sprintf("%.0fT", v)
}

func count(n uint64) string { return fmt.Sprintf("%d", n) }

// ageText writes a duration for people: "4s", "3m", "5h", "12d".
func ageText(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%.0fs", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%.0fm", seconds/60)
	case seconds < 48*3600:
		return fmt.Sprintf("%.0fh", seconds/3600)
	}
	return fmt.Sprintf("%.0fd", seconds/86400)
}
