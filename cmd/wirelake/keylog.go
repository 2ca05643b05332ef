package main

import (
	"github.com/spf13/cobra"

	"wirelake/internal/keylog"
)

// addKeyLogFlag adds the flag that names key logs.
func addKeyLogFlag(cmd *cobra.Command) {
	cmd.Flags().StringSlice("keylog", nil, "key log file (SSLKEYLOGFILE) to decrypt TLS 1.2 and 1.3 with; may be given several times")
	bindFlag(cmd.Flags(), "keylog", "session.keylog")
}

// openKeyLog reads the key logs of the settings. It returns nil when there are none.
func (a *app) openKeyLog() (*keylog.Log, error) {
	if len(a.cfg.Session.KeyLog) == 0 {
		return nil, nil
	}
	l, err := keylog.Open(a.cfg.Session.KeyLog...)
	if err != nil {
		return nil, err
	}
	a.log.Info("key log read", "files", len(a.cfg.Session.KeyLog), "connections", l.Connections(), "bad_lines", l.Bad())
	return l, nil
}

// importKeys returns the key log that an import stores, nil for none.
func (a *app) importKeys() (*keylog.Log, error) {
	if !a.cfg.Import.StoreKeyLog && len(a.cfg.Session.KeyLog) > 0 {
		a.log.Info("the key log is not stored: give it to the compactor too, or store it with --store-keylog")
	}
	return a.storedKeys(a.cfg.Import.StoreKeyLog)
}

// storedKeys returns the key log to store, nil unless asked.
func (a *app) storedKeys(asked bool) (*keylog.Log, error) {
	switch {
	case !asked:
		return nil, nil
	case len(a.cfg.Session.KeyLog) == 0:
		return keylog.New(), nil // of what captures hold themselves
	}
	return a.openKeyLog()
}
