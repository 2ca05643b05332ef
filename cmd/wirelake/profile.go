package main

import (
	"errors"
	"os"
	"runtime/pprof"
)

// profile writes a CPU profile to the file that --cpu-profile names, from when it is called until
// the function that it returns is.
func (a *app) profile() (stop func() error, err error) {
	if a.cpuProfile == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(a.cpuProfile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
