//go:build linux

package main

import "context"

func (b *bench) sealing(_ context.Context, _ measurement) error { return nil }
