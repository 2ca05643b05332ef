package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const flowsExt = ".flows"

// FlowsFile returns the path of the file that keeps what whoever seals remembers of
// flows behind g.
func (g *Segment) FlowsFile() string { return strings.TrimSuffix(g.Path, segmentExt) + flowsExt }

// FlowsBefore returns the path of the file that was kept behind the last segment before
// g, "" when there is none. A file of g itself or of a later one was written before
// sealing ended, and does not count.
func (g *Segment) FlowsBefore() string {
	best, found := uint64(0), ""
	for n, path := range g.Lane.flowsFiles() {
		if n < g.Number && (found == "" || n > best) {
			best, found = n, path
		}
	}
	return found
}

// ForgetFlows removes the files of other segments than g, which is finished.
func (g *Segment) ForgetFlows() error {
	var errs []error
	for n, path := range g.Lane.flowsFiles() {
		if n == g.Number {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// flowsFiles returns the lane's files of flows, by segment.
func (l *Lane) flowsFiles() map[uint64]string {
	paths, _ := filepath.Glob(filepath.Join(l.dir, "*"+flowsExt)) // the pattern is good
	files := make(map[uint64]string, len(paths))
	for _, path := range paths {
		if n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), flowsExt), 10, 64); err == nil {
			files[n] = path
		}
	}
	return files
}
