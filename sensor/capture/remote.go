package capture

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"

	"wirelake/internal/config"
)

// RemoteConfig says which packets are taken from other machines and programs.
// Start from DefaultRemoteConfig, which takes none.
type RemoteConfig struct {
	Read    []string `koanf:"read" help:"capture streams to read, pcap or pcapng: - for standard input, named pipes, files"`
	Connect []string `koanf:"connect" help:"pcap-over-IP servers to take packets from: tcp://host:port or tls://host:port"`
	Listen  string   `koanf:"listen" help:"address at which pcap-over-IP streams are taken, such as 127.0.0.1:57012; empty: none"`
	Clients int      `koanf:"clients" help:"pcap-over-IP clients taken at once; each may need 16 MiB"`
	TLSCert string   `koanf:"tls_cert" help:"PEM file of the certificate shown to pcap-over-IP peers; with it, listening means TLS"`
	TLSKey  string   `koanf:"tls_key" help:"PEM file of its key"`
	TLSCA   string   `koanf:"tls_ca" help:"PEM file of the CAs that have signed the certificates of pcap-over-IP peers; with it, clients must have one"`

	VXLAN        string      `koanf:"vxlan" help:"UDP address at which VXLAN is received, such as :4789; empty: none"`
	GENEVE       string      `koanf:"geneve" help:"UDP address at which GENEVE is received, such as :6081; empty: none"`
	ReceiveBytes config.Size `koanf:"receive_bytes" help:"receive buffer in the kernel for VXLAN and for GENEVE: what comes in while the sensor is busy"`
	TunnelLanes  int         `koanf:"tunnel_lanes" help:"VXLAN or GENEVE network identifiers with a lane of their own; the rest share one"`
	Peers        []string    `koanf:"peers" help:"networks from which listeners take packets, such as 10.0.0.0/8; empty: all"`
}

// DefaultRemoteConfig returns the documented defaults.
func DefaultRemoteConfig() RemoteConfig {
	return RemoteConfig{Clients: 8, ReceiveBytes: 64 * config.MiB, TunnelLanes: 64}
}

const (
	maxClients      = 1024
	maxTunnelLanes  = 4096
	minReceiveBytes = 64 * config.KiB
	maxReceiveBytes = 1 * config.GiB // the kernel's option is a 32-bit number that it doubles
)

// Validate reports every bad field, not only the first.
func (c RemoteConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Clients < 1 || c.Clients > maxClients {
		bad("clients: %d is not 1 to %d", c.Clients, maxClients)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls_cert and tls_key: one is set without the other")
	}
	if c.ReceiveBytes < minReceiveBytes || c.ReceiveBytes > maxReceiveBytes {
		bad("receive_bytes: %v is not %v to %v", c.ReceiveBytes, minReceiveBytes, maxReceiveBytes)
	}
	if c.TunnelLanes < 1 || c.TunnelLanes > maxTunnelLanes {
		bad("tunnel_lanes: %d is not 1 to %d", c.TunnelLanes, maxTunnelLanes)
	}
	if _, err := ParsePeers(c.Peers); err != nil {
		bad("peers: %w", err)
	}
	for _, a := range []struct{ name, address string }{{"listen", c.Listen}, {"vxlan", c.VXLAN}, {"geneve", c.GENEVE}} {
		if a.address == "" {
			continue
		}
		if _, port, err := net.SplitHostPort(a.address); err != nil || port == "" {
			bad("%s: %q is not an address such as 127.0.0.1:57012", a.name, a.address)
		}
	}
	if c.Listen != "" && c.TLSCA == "" && len(c.Peers) == 0 && !isLoopback(c.Listen) {
		bad("listen: %s is open to other machines: say whom to trust by tls_ca or by peers", c.Listen)
	}
	if c.TLSCA != "" && c.TLSCert == "" && c.Listen != "" {
		bad("tls_ca: clients cannot be asked for certificates without tls_cert")
	}
	lanes := map[string]string{}
	for _, list := range []struct {
		name  string
		paths []string
	}{{"read", c.Read}, {"connect", c.Connect}} {
		for _, p := range list.paths {
			lane := list.name + " " + peerLane(p)
			if other, ok := lanes[lane]; ok {
				bad("%s: %q is there twice, or too much like %q", list.name, p, other)
			}
			lanes[lane] = p
		}
	}
	for _, u := range c.Connect {
		if _, err := NewPcapOverIPClient(u, TLSFiles{CA: c.TLSCA, Cert: c.TLSCert, Key: c.TLSKey}, nil); err != nil {
			bad("connect: %w", err)
		}
	}
	return errors.Join(errs...)
}

// isLoopback reports whether only this machine can connect to an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Sources returns a source for each thing that is configured. stdin is what "-" reads.
func (c RemoteConfig) Sources(stdin io.Reader, log *slog.Logger) ([]Source, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	peers, err := ParsePeers(c.Peers)
	if err != nil {
		return nil, err
	}
	files := TLSFiles{Cert: c.TLSCert, Key: c.TLSKey, CA: c.TLSCA}
	var all []Source
	for _, path := range c.Read {
		all = append(all, NewPipe(path, stdin, log))
	}
	for _, u := range c.Connect {
		s, err := NewPcapOverIPClient(u, files, log)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if c.Listen != "" {
		s, err := NewPcapOverIPServer(c.Listen, c.Clients, peers, files, log)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	tunnel := TunnelConfig{ReceiveBytes: int(c.ReceiveBytes), Lanes: c.TunnelLanes, Peers: peers}
	if c.VXLAN != "" {
		tunnel.Listen = c.VXLAN
		all = append(all, NewVXLAN(tunnel, log))
	}
	if c.GENEVE != "" {
		tunnel.Listen = c.GENEVE
		all = append(all, NewGENEVE(tunnel, log))
	}
	return all, nil
}
