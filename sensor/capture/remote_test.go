package capture

import (
	"slices"
	"strings"
	"testing"
)

func TestRemoteConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*RemoteConfig)
		want   string // in the error; empty: it is good
	}{
		{"nothing", func(*RemoteConfig) {}, ""},
		{"a listener on loopback", func(c *RemoteConfig) { c.Listen = "127.0.0.1:57012" }, ""},
		{"a listener for all", func(c *RemoteConfig) { c.Listen = ":57012" }, "say whom to trust"},
		{"a listener for peers", func(c *RemoteConfig) { c.Listen, c.Peers = "0.0.0.0:57012", []string{"10.0.0.0/8"} }, ""},
		{"client certificates without ours", func(c *RemoteConfig) { c.Listen, c.TLSCA = ":57012", "ca.pem" }, "tls_cert"},
		{"a certificate without its key", func(c *RemoteConfig) { c.TLSCert = "cert.pem" }, "tls_cert and tls_key"},
		{"mirrors", func(c *RemoteConfig) { c.VXLAN, c.GENEVE = ":4789", "[::]:6081" }, ""},
		{"a mirror without port", func(c *RemoteConfig) { c.VXLAN = "10.0.0.1" }, "vxlan"},
		{"bad peers", func(c *RemoteConfig) { c.Peers = []string{"10.0.0.0/8", "edge1"} }, `"edge1" is neither`},
		{"no clients", func(c *RemoteConfig) { c.Clients = 0 }, "clients"},
		{"a small buffer", func(c *RemoteConfig) { c.ReceiveBytes = 1 }, "receive_bytes"},
		{"a huge buffer", func(c *RemoteConfig) { c.ReceiveBytes = 1 << 40 }, "receive_bytes"},
		{"no lanes", func(c *RemoteConfig) { c.TunnelLanes = 0 }, "tunnel_lanes"},
		{"no URL", func(c *RemoteConfig) { c.Connect = []string{"10.0.0.1:57012"} }, "tcp://host:port"},
		{"the same twice", func(c *RemoteConfig) { c.Connect = []string{"tcp://a:1", "tcp://a:1"} }, "twice"},
	} {
		cfg := DefaultRemoteConfig()
		c.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if _, e := cfg.Sources(nil, nil); (e == nil) != (err == nil) {
			t.Errorf("%s: sources: %v", c.name, e)
		}
	}
}

func TestRemoteSources(t *testing.T) {
	cfg := DefaultRemoteConfig()
	cfg.Read, cfg.Connect, cfg.Listen = []string{"-", "/run/in.fifo"}, []string{"tcp://a:1", "tls://b:2"}, "127.0.0.1:57012"
	cfg.VXLAN, cfg.GENEVE = ":4789", ":6081"
	all, err := cfg.Sources(strings.NewReader(""), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all {
		st := s.State()
		names = append(names, st.Kind+" "+st.Name)
		if st.Up || st.Packets != 0 {
			t.Errorf("%+v before it runs", st)
		}
	}
	want := []string{"pipe -", "pipe /run/in.fifo", "pcap-over-ip tcp://a:1", "pcap-over-ip tls://b:2", "pcap-over-ip listen://127.0.0.1:57012", "vxlan vxlan://:4789", "geneve geneve://:6081"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q", names)
	}
}
