package session

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// valuesOf returns the values of a field as text.
func valuesOf(doc *spi.Document, path string) string {
	f, ok := doc.Registry().ByPath(path)
	if !ok {
		return "no field"
	}
	var out []string
	for v := range doc.Each(f.ID) {
		if f.Type.Numeric() {
			out = append(out, fmt.Sprint(v.Int))
		} else {
			out = append(out, v.Str)
		}
	}
	return strings.Join(out, " ")
}

// tagged puts VLAN tags, of their ethertypes and ids, into a frame.
func tagged(f frame, tags ...uint16) frame {
	var b []byte
	for _, t := range tags {
		b = binary.BigEndian.AppendUint16(b, t)
	}
	f.data = slices.Insert(slices.Clone(f.data), 12, b...)
	return f
}

// with changes bytes of a frame.
func with(f frame, at int, b ...byte) frame {
	f.data = slices.Clone(f.data)
	copy(f.data[at:], b)
	return f
}

// TestGeneral holds the fields of all sessions, in the reference's documents, by frames of each kind.
func TestGeneral(t *testing.T) {
	const (
		dscp, ttl, fragment, ident = 14 + 1, 14 + 8, 14 + 6, 14 + 4
		a, b                       = 0x0001, 0x0002
	)
	echo := func(at int64, src, dst uint16, typ byte) frame {
		return ipFrame(at, src, dst, packet.ProtoICMP, []byte{typ, 0, 0, 0, 0, 1, 0, 1, 'p', 'i', 'n', 'g'})
	}
	udp := func(at int64, text string) frame { return udpFrame(at, a, b, 4000, 5000, text) }
	back := func(at int64, text string) frame { return udpFrame(at, b, a, 5000, 4000, text) }
	tcp := func(at int64, flags uint16, seq uint32, text string) frame {
		return tcpFrame(at, a, b, 4000, 5000, flags, seq, 91, text)
	}
	inner := udpFrame(0, 7, 8, 4000, 5000, "inside")
	gre := func(payload string) frame { return ipFrame(0, a, b, packet.ProtoGRE, []byte(payload)) }
	isis := func(at int64) frame {
		return frame{nanos: at, data: []byte("\x01\x80\xc2\x00\x00\x14\x02\x00\x00\x00\x00\x01\x00\x2e\xfe\xfe\x03\x83\x1b\x01\x00\x0f\x01\x00\x00" + strings.Repeat("\x00", 35))}
	}
	datagram := udp(0, strings.Repeat("x", 32)).data[14+20:]
	for _, tt := range []struct {
		name   string
		frames []frame
		want   map[string]string
	}{
		{"an echo and its reply are one session", []frame{echo(0, a, b, 8), echo(sec, b, a, 0)}, map[string]string{
			"icmp.type": "8 0", "icmp.code": "0", "source.ip": "10.0.0.1", "source.port": "0", "destination.port": "0", "protocol": "icmp", "ipProtocol": "1",
			"source.packets": "1", "destination.packets": "1", "length": "1000", "client.bytes": "12", "server.bytes": "12", "srcPayload8": "",
		}},
		{"ICMP idle for over a minute", []frame{echo(0, a, b, 8), udp(62*sec, "time goes on"), echo(63*sec, a, b, 8)}, map[string]string{"source.packets": "1", "icmp.type": "8"}},
		{"a late packet alone ends nothing", []frame{echo(0, a, b, 8), echo(62*sec, a, b, 8)}, map[string]string{"source.packets": "2"}},
		{"ESP has neither ports nor payload in clear", []frame{ipFrame(0, a, b, packet.ProtoESP, []byte("\x00\x00\x00\x01\x00\x00\x00\x01secret")), ipFrame(500*sec, b, a, packet.ProtoESP, []byte("\x00\x00\x00\x02\x00\x00\x00\x01secret"))}, map[string]string{
			"protocol": "esp", "ipProtocol": "50", "source.packets": "1", "destination.packets": "1", "source.port": "0", "srcPayload8": "",
		}},
		{"first bytes of the first datagram", []frame{udp(0, "abc"), udp(1, "defghijk"), back(2, "0123456789")}, map[string]string{
			"srcPayload8": "616263", "dstPayload8": "3031323334353637", "client.bytes": "11", "server.bytes": "10", "totDataBytes": "21", "protocol": "udp",
		}},
		{"first bytes of a stream", []frame{tcp(0, fSYN, 10, ""), tcp(1, fPSH, 11, "abc"), tcp(2, fPSH, 14, "defghijk"), tcp(3, fPSH, 14, "defghijk")}, map[string]string{
			"srcPayload8": "6162636465666768", "client.bytes": "11", "source.packets": "4",
		}},
		{"a stream whose beginning was not captured counts no payload", []frame{tcp(0, fPSH, 11, "abc"), tcp(1, fACK, 14, "")}, map[string]string{
			"srcPayload8": "", "client.bytes": "0", "totDataBytes": "0", "tcpflags.psh": "1", "tcpseq.src": "", "srcISNCnt": "", "tcpSynValidated": "",
		}},
		{"bytes that come twice are not compared", []frame{tcp(0, fSYN, 10, ""), tcp(1, fPSH, 14, "def"), tcp(2, fPSH, 14, "xyz")}, map[string]string{
			"tags": "no-syn-ack", "source.packets": "3",
		}},
		{"the answer to a SYN that was not captured comes from the destination", []frame{tcpFrame(0, b, a, 5000, 4000, fSYNACK, 90, 11, ""), tcp(1, fPSH, 11, "abc")}, map[string]string{
			"source.ip": "10.0.0.1", "client.bytes": "3", "tcpseq.dst": "90", "tcpSynAckValidated": "true", "tcpSynValidated": "false",
		}},
		{"addresses of the link, by who sent", []frame{udp(0, "a"), back(1, "b"), with(udp(2, "c"), 6, 2, 0, 0, 0, 9, 9)}, map[string]string{
			"source.mac": "02:00:00:00:00:01 02:00:00:00:09:09", "destination.mac": "02:00:00:00:00:02",
		}},
		{"lives and services, each once", []frame{with(udp(0, "a"), ttl, 60), with(with(udp(1, "b"), ttl, 59), dscp, 46<<2), with(udp(2, "c"), ttl, 60), with(back(3, "d"), dscp, 8<<2|3)}, map[string]string{
			"srcTTL": "60 59", "dstTTL": "64", "srcDscp": "46", "dstDscp": "8",
		}},
		{"tags of 802.1Q and 802.1ad", []frame{tagged(udp(0, "a"), 0x88a8, 200, 0x8100, 100), tagged(back(1, "b"), 0x8100, 0x3000|101)}, map[string]string{
			"dot1ad.id": "200", "dot1q.id": "100 101", "network.vlan.id": "100 101 200", "ethertype": "2048",
		}},
		{"VXLAN", []frame{tunnelled(inner)}, map[string]string{
			"vni": "99", "srcOuterIp": "10.0.0.7", "dstOuterIp": "10.0.0.8", "source.ip": "10.0.0.7", "protocol": "udp vxlan", "ethertype": "2048", "dot1q.id": "100",
		}},
		{"GRE with key and sequence number", []frame{gre("\x30\x00\x08\x00\x00\x00\x00\x05\x00\x00\x00\x01" + string(inner.data[14:]))}, map[string]string{
			"srcOuterIp": "10.0.0.1", "dstOuterIp": "10.0.0.2", "source.ip": "10.0.0.7", "client.bytes": "6", "protocol": "udp gre",
		}},
		{"a tunnel's addresses of links within another's", []frame{tunnelled(tunnelled(inner))}, map[string]string{
			"srcOuterMac": "02:00:00:00:00:08", "protocol": "udp vxlan",
		}},
		{"IS-IS of both levels", []frame{with(isis(0), 5, 0x14), with(isis(sec), 5, 0x15)}, map[string]string{
			"source.packets": "2", "protocol": "isis",
		}},
		{"fragments count as their datagram", []frame{
			with(ipFrame(0, a, b, packet.ProtoUDP, datagram[:24]), ident, 0, 7, 0x20, 0), with(ipFrame(sec, a, b, packet.ProtoUDP, datagram[24:]), ident, 0, 7, 0, 3),
		}, map[string]string{"firstPacket": "1000", "length": "0", "source.packets": "1", "client.bytes": "32", "source.port": "4000", "srcPayload8": "7878787878787878"}},
		{"a packet that the snaplen cut counts as captured", []frame{{data: udp(0, "abcdefgh").data[:14+20+8+4], cut: 4}}, map[string]string{
			"source.bytes": "46", "network.bytes": "46", "srcPayload8": "61626364",
		}},
		{"times of a clock that goes back", []frame{udp(5*sec, "a"), udp(3*sec, "b")}, map[string]string{
			"firstPacket": "5000", "lastPacket": "3000", "length": "2000", "packetRange.gte": "3000", "packetRange.lte": "5000",
		}},
	} {
		doc := documentOf(t, true, tt.frames)
		for path, want := range tt.want {
			if got := valuesOf(doc, path); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, path, got, want)
			}
		}
	}
}
