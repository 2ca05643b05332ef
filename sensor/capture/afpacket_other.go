//go:build !linux

package capture

import (
	"context"
	"errors"
	"log/slog"

	"wirelake/internal/systemd"
)

var errLinux = errors.New("capturing from network interfaces needs Linux")

// AFPacket captures from a network interface, on Linux.
type AFPacket struct{ name string }

// NewAFPacket returns an error: this is not Linux.
func NewAFPacket(string, AFPacketConfig, *Keeper, *slog.Logger) (*AFPacket, error) {
	return nil, errLinux
}

// Keeper keeps packet sockets over the end of the process, on Linux.
type Keeper struct{}

// NewKeeper returns nil: this is not Linux.
func NewKeeper(*systemd.Manager, []systemd.File, *slog.Logger) *Keeper { return nil }

// Leftover returns nothing: this is not Linux.
func (*Keeper) Leftover(AFPacketConfig, *slog.Logger) ([]Source, error) { return nil, nil }

// Open returns an error: this is not Linux.
func (s *AFPacket) Open() error { return errLinux }

// Run returns an error: this is not Linux.
func (s *AFPacket) Run(context.Context, Opener) error { return errLinux }

// Reload returns an error: this is not Linux.
func (s *AFPacket) Reload(string) error { return errLinux }

// State tells that the source is not up.
func (s *AFPacket) State() State {
	return State{Name: s.name, Kind: "afpacket", Error: errLinux.Error()}
}

// DropPrivileges returns an error when there is a user: this is not Linux.
func DropPrivileges(user string, _ AFPacketConfig) error {
	if user == "" {
		return nil
	}
	return errLinux
}
