package rules

import (
	"context"
	"encoding/binary"
	"io/fs"

	"github.com/cespare/xxhash/v2"

	"wirelake/internal/indicators"
	"wirelake/internal/sigma"
	"wirelake/internal/spi"
)

// readAll reads the rules file and the Sigma rules. Sigma's come before those of the file, which see their tags.
func readAll(cfg Config, reg *spi.Registry) (*File, *sigma.Set, error) {
	set, err := sigma.Load(cfg.Sigma, reg)
	if err != nil {
		return nil, nil, err
	}
	f := &File{}
	if cfg.File != "" {
		if f, err = Read(cfg.File, reg); err != nil {
			return nil, nil, err
		}
	}
	rules := make([]Rule, 0, len(set.Rules)+len(f.Rules))
	for i := range set.Rules {
		r := &set.Rules[i]
		rules = append(rules, Rule{Name: r.Title, Text: r.Text, Tags: r.MarkTags(), Keep: -1, Line: r.Line, Sigma: r.File, Expr: r.Expr})
	}
	f.Rules = append(rules, f.Rules...)
	return f, set, nil
}

// stamp tells whether the rules file or a file of Sigma rules has changed.
type stamp struct {
	file  indicators.Stamp
	sigma uint64 // a hash of names, sizes and times
}

func stampOf(cfg Config) (s stamp, err error) {
	if cfg.File != "" {
		if s.file, err = indicators.StampOf(cfg.File); err != nil {
			return s, err
		}
	}
	h := xxhash.New()
	err = sigma.Walk(cfg.Sigma, func(path string, info fs.FileInfo) error {
		b := append([]byte(path), 0)
		b = binary.LittleEndian.AppendUint64(b, uint64(info.Size())) //nolint:gosec // a hash
		b = binary.LittleEndian.AppendUint64(b, uint64(info.ModTime().UnixNano()))
		_, err := h.Write(b)
		return err
	})
	s.sigma = h.Sum64()
	return s, err
}

// useSigma notes what was read of Sigma rules. The caller holds mu.
func (t *Tagger) useSigma(set *sigma.Set) {
	t.sigma = set
	for state, n := range map[string]int{"converted": len(set.Rules), "refused": len(set.Refused), "retired": set.Retired, "other": set.Other} {
		t.metrics.sigma.WithLabelValues(state).Set(float64(n))
	}
}

// Sigma returns what was read of Sigma rules last.
func (t *Tagger) Sigma() *sigma.Set {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sigma
}

// LogRefused names the Sigma rules that are left out in the log.
func (t *Tagger) LogRefused(ctx context.Context) {
	if t == nil || len(t.cfg.Sigma) == 0 {
		return
	}
	set := t.Sigma()
	for i, r := range set.Refused {
		if i == maxProblems {
			break
		}
		t.log.WarnContext(ctx, "Sigma rule left out", "file", r.File, "line", r.Line, "rule", r.Title, "reason", r.Reason)
	}
	t.log.InfoContext(ctx, "Sigma rules loaded", "rules", len(set.Rules), "refused", len(set.Refused), "retired", set.Retired, "other", set.Other, "foreign", set.Foreign)
}
