// Package sample_test holds what the shipped capture promises.
package sample_test

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

func TestSampleHoldsWhatItsReadmeSays(t *testing.T) {
	f, err := os.Open("sample.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	if st, err := f.Stat(); err != nil || st.Size() > 3<<20 {
		t.Errorf("%v bytes (%v), want under 3 MiB", st.Size(), err)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewReader(z)
	if err != nil {
		t.Fatal(err)
	}
	type flow struct{ net, transport uint64 } // hashes are the same for both directions
	flows := map[gopacket.LayerType]map[flow]bool{layers.LayerTypeTCP: {}, layers.LayerTypeUDP: {}}
	ports, vlans, kinds := map[uint16]bool{}, map[uint16]bool{}, map[gopacket.LayerType]bool{}
	var first, last time.Time
	packets := 0
	for ; ; packets++ {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("packet %d: %v", packets+1, err)
		}
		if packets == 0 {
			first = info.Timestamp
		}
		if info.Timestamp.Before(last) {
			t.Errorf("packet %d is before the one in front of it", packets+1)
		}
		last = info.Timestamp
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.NoCopy)
		for _, l := range p.Layers() {
			kinds[l.LayerType()] = true
			switch l := l.(type) {
			case *layers.Dot1Q:
				vlans[l.VLANIdentifier] = true
			case *layers.TCP:
				if l.SYN && l.ACK {
					ports[uint16(l.SrcPort)] = true
				}
				flows[layers.LayerTypeTCP][flow{p.NetworkLayer().NetworkFlow().FastHash(), l.TransportFlow().FastHash()}] = true
			case *layers.UDP:
				flows[layers.LayerTypeUDP][flow{p.NetworkLayer().NetworkFlow().FastHash(), l.TransportFlow().FastHash()}] = true
			}
		}
	}
	tcp, udp := len(flows[layers.LayerTypeTCP]), len(flows[layers.LayerTypeUDP])
	if packets != 7561 || tcp != 236 || udp != 373 {
		t.Errorf("%d packets, %d TCP and %d UDP flows; the README says 7561, 236 and 373", packets, tcp, udp)
	}
	if got := last.Sub(first); got < 6*time.Hour || got > 7*time.Hour {
		t.Errorf("it spans %v, want 6 to 7 hours", got)
	}
	for _, port := range []uint16{22, 25, 53, 80, 443} {
		if !ports[port] {
			t.Errorf("no server on TCP port %d", port)
		}
	}
	for _, id := range []uint16{30, 40} {
		if !vlans[id] {
			t.Errorf("no VLAN %d", id)
		}
	}
	for _, kind := range []gopacket.LayerType{
		layers.LayerTypeARP, layers.LayerTypeDHCPv4, layers.LayerTypeDNS, layers.LayerTypeICMPv4, layers.LayerTypeICMPv6,
		layers.LayerTypeIPv6, layers.LayerTypeNTP,
	} {
		if !kinds[kind] {
			t.Errorf("no %v", kind)
		}
	}
}
