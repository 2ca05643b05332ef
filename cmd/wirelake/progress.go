package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"wirelake/sensor"
)

// progressLine is how often progress is told where there is no terminal.
const progressLine = 5 * time.Second

// progress shows how far an import is: a bar on a terminal, else a line now and then.
type progress struct {
	w     io.Writer
	quiet bool
	bars  *mpb.Progress // nil without a terminal
	bar   *mpb.Bar
	name  atomic.Pointer[string] // of the file being read; the bar is drawn by a goroutine of its own
	told  time.Time
}

func newProgress(w io.Writer, quiet bool) *progress {
	p := &progress{w: w, quiet: quiet, told: time.Now()}
	if f, ok := w.(*os.File); ok && !quiet && term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh())
	}
	return p
}

// log is where log lines go so that they do not run into the bar.
func (p *progress) log() io.Writer {
	if p.bars != nil {
		return p.bars
	}
	return p.w
}

// update is called by the importer, from one goroutine.
func (p *progress) update(now sensor.ImportProgress) {
	switch {
	case p.quiet:
	case p.bars != nil:
		p.draw(now)
	case time.Since(p.told) >= progressLine:
		p.told = time.Now()
		of := ""
		if now.TotalBytes > 0 {
			of = fmt.Sprintf(" of %s (%d%%)", sizeText(uint64(now.TotalBytes)), now.ReadBytes*100/now.TotalBytes) //nolint:gosec // positive
		}
		fmt.Fprintf(p.w, "importing file %d of %d: %s%s read\n", now.File, now.Files, sizeText(uint64(now.ReadBytes)), of) //nolint:gosec // not negative
	}
}

func (p *progress) draw(now sensor.ImportProgress) {
	name := filepath.Base(now.Path)
	p.name.Store(&name)
	if p.bar == nil {
		p.bar = p.bars.AddBar(max(now.TotalBytes, 0),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return *p.name.Load() }, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(
				decor.CountersKibiByte("% .1f / % .1f"), decor.Name("  "),
				decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name("  "),
				decor.AverageETA(decor.ET_STYLE_GO)))
	}
	p.bar.SetCurrent(now.ReadBytes)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bars == nil {
		return
	}
	if p.bar != nil {
		p.bar.Abort(true)
	}
	p.bars.Wait()
}
