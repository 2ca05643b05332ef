package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// describe tells what the tests of encapsulations compare.
func describe(p *Packet) string {
	var b strings.Builder
	fmt.Fprint(&b, p.Key)
	if p.Dir == BtoA {
		b.WriteString(" back")
	}
	if p.Mark != MarkNone {
		fmt.Fprintf(&b, " %v", p.Mark)
	}
	for _, o := range p.OuterIPs() {
		fmt.Fprintf(&b, " outer %v>%v", o.SrcIP(), o.DstIP())
	}
	for _, o := range p.OuterMACs() {
		fmt.Fprintf(&b, " outer %x>%x", o.Src[5:6], o.Dst[5:6])
	}
	if p.HasMAC {
		fmt.Fprintf(&b, " mac %x>%x", p.SrcMAC[5:], p.DstMAC[5:])
	}
	for _, v := range p.VLANs() {
		fmt.Fprintf(&b, " vlan %d", v.ID)
		if v.AD {
			b.WriteString("ad")
		}
	}
	for _, v := range p.VNIs() {
		fmt.Fprintf(&b, " vni %d", v)
	}
	for _, l := range p.Labels() {
		fmt.Fprintf(&b, " label %d", l)
	}
	if p.Payload != nil {
		fmt.Fprintf(&b, " %q", p.Payload)
	}
	return b.String()
}

func TestEncapsulations(t *testing.T) {
	const (
		in4  = "tcp 10.1.1.1:40000 <-> 10.2.2.2:443"
		in6  = "tcp [2001:db8::1]:40000 <-> [2001:db8::2]:443"
		hi   = ` "hello"`
		ab   = " mac 02>01"
		cd   = " mac 04>03"
		out  = " outer 192.0.2.1>192.0.2.2"
		oMAC = " outer 02>01"
	)
	frame4 := func(proto uint8, payload []byte) []byte {
		return eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", proto, payload))
	}
	inUDP := func(port uint16, payload []byte) []byte { return frame4(ProtoUDP, udp(55555, port, payload)) }
	innerEth := eth(macC, macD, etherIPv4, innerTCP())
	ppp4 := append(hx("0021"), innerTCP()...)
	for _, c := range []struct {
		name    string
		link    uint32
		frame   []byte
		want    string
		tunnels Tunnels
	}{
		{"plain", LinkEthernet, eth(macA, macB, etherIPv4, innerTCP()), in4 + ab + hi, 0},
		{"padding is cut", LinkEthernet, append(eth(macA, macB, etherIPv4, innerTCP()), make([]byte, 9)...), in4 + ab + hi, 0},
		{"IPv4 options", LinkEthernet, eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.2", ProtoUDP, udp(1, 2, []byte("x")), ip4Opt{options: make([]byte, 8)})), "udp 10.1.1.1:1 <-> 10.2.2.2:2" + ab + ` "x"`, 0},
		{"IPv6", LinkEthernet, eth(macA, macB, etherIPv6, innerTCP6()), in6 + ab + hi, 0},
		{"IPv6 extension headers", LinkEthernet, eth(macA, macB, etherIPv6, ip6("2001:db8::1", "2001:db8::2", extHop, ext6(extDest, 0, ext6(extRouting, 1, ext6(ProtoTCP, 0, tcp(40000, 443, 1, 2, FlagACK, []byte("hello"))))))), in6 + ab + hi, 0},
		{"IPv6 atomic fragment", LinkEthernet, eth(macA, macB, etherIPv6, ip6("2001:db8::1", "2001:db8::2", extFragment, frag6(ProtoTCP, 0, false, 5, tcp(40000, 443, 1, 2, FlagACK, []byte("hello"))))), in6 + ab + hi, 0},
		{"802.1Q", LinkEthernet, eth(macA, macB, etherVLAN, tag(0x6064, etherIPv4, innerTCP())), in4 + ab + " vlan 100" + hi, 0},
		{"priority tag", LinkEthernet, eth(macA, macB, etherVLAN, tag(0x6000, etherIPv4, innerTCP())), in4 + ab + hi, 0},
		{"802.1ad", LinkEthernet, eth(macA, macB, etherAD, tag(200, etherVLAN, tag(300, etherIPv4, innerTCP()))), in4 + ab + " vlan 200ad vlan 300" + hi, 0},
		{"QinQ", LinkEthernet, eth(macA, macB, etherQinQ1, tag(200, etherVLAN, tag(300, etherIPv6, innerTCP6()))), in6 + ab + " vlan 200 vlan 300" + hi, 0},
		{"MPLS", LinkEthernet, eth(macA, macB, etherMPLS, mplsLabel(16, false, mplsLabel(17, true, innerTCP()))), in4 + ab + " label 16 label 17" + hi, TunnelMPLS},
		{"MPLS, IPv6", LinkEthernet, eth(macA, macB, etherMPLS, mplsLabel(16, true, innerTCP6())), in6 + ab + " label 16" + hi, TunnelMPLS},
		{"Ethernet over MPLS", LinkEthernet, eth(macA, macB, etherMPLS, mplsLabel(16, true, innerEth)), in4 + oMAC + cd + " label 16" + hi, TunnelMPLS},
		{"Ethernet over MPLS with control word", LinkEthernet, eth(macA, macB, etherMPLS, mplsLabel(16, true, append(make([]byte, 4), innerEth...))), in4 + oMAC + cd + " label 16" + hi, TunnelMPLS},
		{"PPPoE", LinkEthernet, eth(macA, macB, etherPPPoE, cat(hx("11 00 1234"), be.AppendUint16(nil, uint16(len(ppp4))), ppp4, make([]byte, 5))), in4 + ab + hi, TunnelPPPoE},
		{"IP in IP", LinkEthernet, frame4(ProtoIPIP, innerTCP()), in4 + out + ab + hi, TunnelIPIP},
		{"6in4", LinkEthernet, frame4(ProtoIPv6, innerTCP6()), in6 + out + ab + hi, Tunnel6in4},
		{"4in6", LinkEthernet, eth(macA, macB, etherIPv6, ip6("fc00::1", "fc00::2", ProtoIPIP, innerTCP())), in4 + " outer fc00::1>fc00::2" + ab + hi, TunnelIPIP},
		{"MPLS in IP", LinkEthernet, frame4(ProtoMPLS, mplsLabel(16, true, innerTCP())), in4 + out + ab + " label 16" + hi, TunnelMPLS},
		{"GRE", LinkEthernet, frame4(ProtoGRE, gre(0, etherIPv4, nil, innerTCP())), in4 + out + ab + hi, TunnelGRE},
		{"GRE with checksum, key and sequence number", LinkEthernet, frame4(ProtoGRE, gre(0xb000, etherIPv6, make([]byte, 12), innerTCP6())), in6 + out + ab + hi, TunnelGRE},
		{"GRE with source routes", LinkEthernet, frame4(ProtoGRE, gre(0x4000, etherIPv4, cat(make([]byte, 4), hx("0800 00 04 0a000001"), make([]byte, 4)), innerTCP())), in4 + out + ab + hi, TunnelGRE},
		{"GRE with Ethernet", LinkEthernet, frame4(ProtoGRE, gre(0x2000, etherTransEther, make([]byte, 4), innerEth)), in4 + out + oMAC + cd + hi, TunnelGRE},
		{"GRE with WCCP", LinkEthernet, frame4(ProtoGRE, gre(0, etherWCCP, make([]byte, 4), innerTCP())), in4 + out + ab + hi, TunnelGRE},
		{"PPTP", LinkEthernet, frame4(ProtoGRE, gre(0x3081, etherPPP, make([]byte, 12), cat(hx("ff03"), ppp4))), in4 + out + ab + hi, TunnelGRE | TunnelPPP},
		{"PPP with compressed protocol", LinkEthernet, frame4(ProtoGRE, gre(0x3001, etherPPP, make([]byte, 8), ppp4[1:])), in4 + out + ab + hi, TunnelGRE | TunnelPPP},
		{"ERSPAN I", LinkEthernet, frame4(ProtoGRE, gre(0, etherERSPAN2, nil, innerEth)), in4 + out + oMAC + cd + hi, TunnelGRE | TunnelERSPAN},
		{"ERSPAN II", LinkEthernet, frame4(ProtoGRE, gre(0x1000, etherERSPAN2, make([]byte, 4), cat(hx("1007 0064 00000000"), innerEth))), in4 + out + oMAC + cd + " vni 100" + hi, TunnelGRE | TunnelERSPAN},
		{"ERSPAN III", LinkEthernet, frame4(ProtoGRE, gre(0x1000, etherERSPAN3, make([]byte, 4), cat(hx("2007 0065 00000000 00000000"), innerEth))), in4 + out + oMAC + cd + " vni 101" + hi, TunnelGRE | TunnelERSPAN},
		{"ERSPAN III with subheader", LinkEthernet, frame4(ProtoGRE, gre(0x1000, etherERSPAN3, make([]byte, 4), cat(hx("2007 0065 00000000 00000001"), make([]byte, 8), innerEth))), in4 + out + oMAC + cd + " vni 101" + hi, TunnelGRE | TunnelERSPAN},
		{"VXLAN", LinkEthernet, inUDP(portVXLAN, cat(hx("08000000 00303900"), innerEth)), in4 + out + oMAC + cd + " vni 12345" + hi, TunnelVXLAN},
		{"VXLAN on Linux's old port", LinkEthernet, inUDP(portVXLANOld, cat(hx("08000000 00303900"), innerEth)), in4 + out + oMAC + cd + " vni 12345" + hi, TunnelVXLAN},
		{"VXLAN-GPE", LinkEthernet, inUDP(portVXLANGPE, cat(hx("0c000002 00303900"), innerTCP6())), in6 + out + ab + " vni 12345" + hi, TunnelVXLANGPE},
		{"GENEVE", LinkEthernet, inUDP(portGENEVE, cat(hx("0200 6558 00303900"), make([]byte, 8), innerEth)), in4 + out + oMAC + cd + " vni 12345" + hi, TunnelGENEVE},
		{"GENEVE with IP", LinkEthernet, inUDP(portGENEVE, cat(hx("0000 86dd 00303900"), innerTCP6())), in6 + out + ab + " vni 12345" + hi, TunnelGENEVE},
		{"GTP-U", LinkEthernet, inUDP(portGTPU, cat(hx("30ff"), be.AppendUint16(nil, uint16(len(innerTCP()))), hx("00000001"), innerTCP())), in4 + out + ab + hi, TunnelGTP},
		{"GTP-U with extension headers", LinkEthernet, inUDP(portGTPU, cat(hx("34ff"), be.AppendUint16(nil, uint16(4+4+8+len(innerTCP6()))), hx("00000001 0000 00 85 01 1009 c0 02 aabbccddee 00 00"), innerTCP6())), in6 + out + ab + hi, TunnelGTP},
		{"GTP-U in IPv6", LinkEthernet, eth(macA, macB, etherIPv6, ip6("fc00::1", "fc00::2", ProtoUDP, udp(2152, portGTPU, cat(hx("30ff"), be.AppendUint16(nil, uint16(len(innerTCP6()))), hx("00000001"), innerTCP6())))), in6 + " outer fc00::1>fc00::2" + ab + hi, TunnelGTP},
		{"NSH", LinkEthernet, eth(macA, macB, etherNSH, cat(hx("0fc6 01 01 00004500"), make([]byte, 16), innerTCP())), in4 + ab + hi, TunnelNSH},
		{"Cisco metadata", LinkEthernet, eth(macA, macB, etherCiscoMeta, cat(hx("01 01 0001 0064 0800"), innerTCP())), in4 + ab + hi, TunnelCisco},
		{"FabricPath", LinkEthernet, eth(macA, macB, etherFabricPath, cat(hx("0460"), innerEth)), in4 + oMAC + cd + hi, TunnelCisco},
		{"Arista's timestamp of 64 bits", LinkEthernet, eth(macA, macB, etherArista, cat(hx("0001 0010 5ceeed57384f59c8 0800"), innerTCP())), in4 + ab + hi, 0},
		{"Arista's timestamp of 48 bits, a tag", LinkEthernet, eth(macA, macB, etherArista, cat(hx("0001 0120 ed9518152474 8100 0064 0800"), innerTCP())), in4 + ab + " vlan 100" + hi, 0},
		{"Arista's header of another subtype", LinkEthernet, eth(macA, macB, etherArista, hx("0002 0010 0000")), "mac 02:00:00:00:00:01 <-> 02:00:00:00:00:02 ethertype 0xd28b back unknown-ether" + ab, 0},
		{"SNAP", LinkEthernet, eth(macA, macB, uint16(8+len(innerTCP())), cat(hx("aaaa03 000000 0800"), innerTCP(), make([]byte, 3))), in4 + ab + hi, 0},
		{"tunnels in tunnels", LinkEthernet, eth(macA, macB, etherVLAN, tag(5, etherMPLS, mplsLabel(9, true, ip4("192.0.2.1", "192.0.2.2", ProtoGRE, gre(0, etherIPv6, nil, ip6("fc00::1", "fc00::2", ProtoIPIP, innerTCP())))))), in4 + out + " outer fc00::1>fc00::2" + ab + " vlan 5 label 9" + hi, TunnelMPLS | TunnelGRE | TunnelIPIP},

		{"raw IPv4", LinkRaw, innerTCP(), in4 + hi, 0},
		{"raw IPv6", LinkRaw, innerTCP6(), in6 + hi, 0},
		{"LINKTYPE_IPV4", LinkIPv4, innerTCP(), in4 + hi, 0},
		{"null, little-endian", LinkNull, append(hx("02000000"), innerTCP()...), in4 + hi, 0},
		{"null, big-endian, Darwin's IPv6", LinkNull, append(hx("0000001e"), innerTCP6()...), in6 + hi, 0},
		{"loop", LinkLoop, append(hx("00000002"), innerTCP()...), in4 + hi, 0},
		{"cooked", LinkSLL, cat(hx("0000 0001 0006 020000000002 0000 0800"), innerTCP()), in4 + " mac 02>00" + hi, 0},
		{"cooked, VLAN", LinkSLL, cat(hx("0000 0001 0006 020000000002 0000 8100 0007 86dd"), innerTCP6()), in6 + " mac 02>00 vlan 7" + hi, 0},
		{"cooked 2", LinkSLL2, cat(hx("0800 0000 00000002 0001 04 06 020000000002 0000"), innerTCP()), in4 + " mac 02>00" + hi, 0},
		{"PPP", LinkPPP, append(hx("ff03"), ppp4...), in4 + hi, 0},
		{"PPP without address", LinkPPP, ppp4, in4 + hi, 0},
		{"PPP with direction", LinkPPPWithDir, append(hx("01 ff03"), ppp4...), in4 + hi, 0},
		{"PPPoE link", LinkPPPEther, cat(hx("11 00 1234"), be.AppendUint16(nil, uint16(len(ppp4))), ppp4), in4 + hi, TunnelPPPoE},
		{"Cisco HDLC", LinkCHDLC, cat(hx("0f00 0800"), innerTCP()), in4 + hi, 0},
		{"Cisco HDLC under PPP's link type", LinkPPP, cat(hx("0f00 0800"), innerTCP()), in4 + hi, 0},
		{"Cisco HDLC, multicast", LinkPPPHDLC, cat(hx("8f00 86dd"), innerTCP6()), in6 + hi, 0},
		{"Frame Relay, NLPID", LinkFrameRelay, cat(hx("1861 03 cc"), innerTCP()), in4 + hi, 0},
		{"Frame Relay, Cisco", LinkFrameRelay, cat(hx("1861 86dd"), innerTCP6()), in6 + hi, 0},
		{"Frame Relay, SNAP", LinkFrameRelay, cat(hx("1861 03 00 80 000000 0800"), innerTCP()), in4 + hi, 0},
		{"Frame Relay, bridged", LinkFrameRelay, cat(hx("1861 03 00 80 0080c2 0007"), innerEth), in4 + cd + hi, 0},
		{"MPLS link", LinkMPLS, mplsLabel(16, true, innerTCP()), in4 + " label 16" + hi, TunnelMPLS},
		{"NFLOG", LinkNFLOG, nflogFrame(binary.LittleEndian, 2, innerTCP()), in4 + hi, 0},
		{"NFLOG, big-endian, IPv6", LinkNFLOG, nflogFrame(binary.BigEndian, 10, innerTCP6()), in6 + hi, 0},
		{"802.11 to the access point", Link80211, cat(hx("0801 0000"), hx(macC+macB+macA), hx("0000 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"802.11 from the access point, QoS", Link80211, cat(hx("8802 0000"), hx(macA+macC+macB), hx("0000 0000 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"802.11 with four addresses", Link80211, cat(hx("0803 0000"), hx(macC+macD+macA), hx("0000"), hx(macB), hx("aaaa03 000000 86dd"), innerTCP6()), in6 + ab + hi, 0},
		{"802.11 aggregate", Link80211, cat(hx("8802 0000"), hx(macC+macC+macC), hx("0000 8000"), hx(macA+macB), be.AppendUint16(nil, uint16(8+len(innerTCP()))), hx("aaaa03 000000 0800"), innerTCP(), []byte("next")), in4 + ab + hi, 0},
		{"radiotap with check sequence and padding", Link80211Radio, cat(hx("00 00 1100 03000000 0000000000000000 30"), hx("8801 0000"), hx(macC+macB+macA), hx("0000 0000 0000 aaaa03 000000 0800"), innerTCP(), hx("01020304")), in4 + ab + hi, 0},
		{"Prism", LinkPrism, cat(hx("44000000 18000000"), make([]byte, 16), hx("0801 0000"), hx(macC+macB+macA), hx("0000 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"Prism, big endian", LinkPrism, cat(hx("00000044 00000018"), make([]byte, 16), hx("0801 0000"), hx(macC+macB+macA), hx("0000 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"AVS", LinkAVS, cat(hx("80211001 00000040"), make([]byte, 56), hx("0801 0000"), hx(macC+macB+macA), hx("0000 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"AVS under Prism's link type", LinkPrism, cat(hx("80211002 00000040"), make([]byte, 56), hx("0801 0000"), hx(macC+macB+macA), hx("0000 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"PPI with check sequence", LinkPPI, cat(hx("00 00 2000 69000000 0200 1400 0000000000000000 0100 0200 0000 0000 0000 0000"), hx("0801 0000"), hx(macC+macB+macA), hx("0000 aaaa03 000000 0800"), innerTCP(), hx("01020304")), in4 + ab + hi, 0},
		{"PPI, aligned fields, Ethernet", LinkPPI, cat(hx("00 01 1000 01000000 3075 0100 ff 000000"), innerEth), in4 + cd + hi, 0},
		{"PPI within PPI", LinkPPI, cat(hx("00 00 0800 c0000000"), hx("00 00 0800 01000000"), innerEth), "unknown link type 192 corrupt-ether", 0},
		{"pf's log, IPv4", LinkPFLog, cat(hx("3d 02 00 00"), make([]byte, 60), innerTCP()), in4 + hi, 0},
		{"pf's log, IPv6 of FreeBSD", LinkPFLog, cat(hx("45 1c 01 00"), make([]byte, 68), innerTCP6()), in6 + hi, 0},
		{"enc", LinkEnc, cat(hx("02000000 00001234 00000004"), innerTCP()), in4 + hi, 0},
		{"enc, big endian", LinkEnc, cat(hx("00000018 00001234 00000004"), innerTCP6()), in6 + hi, 0},
		{"PKTAP, Ethernet", LinkPKTAP, cat(hx("6c000000 01000000 01000000"), make([]byte, 96), innerEth), in4 + cd + hi, 0},
		{"PKTAP, loopback", LinkPKTAP, cat(hx("6c000000 01000000 00000000"), make([]byte, 96), hx("1e000000"), innerTCP6()), in6 + hi, 0},
		{"IP over InfiniBand", LinkIPoIB, cat(make([]byte, 20), hx("80000550 fe80000000000000 0010e000664ab451 0800 0000"), innerTCP()), in4 + hi, 0},
		{"Juniper, Ethernet", LinkJuniperEther, cat(hx("4d4743 80 000a 0102 0000 0301 0000 0401"), innerEth), in4 + cd + hi, 0},
		{"Juniper, Ethernet, no extensions", LinkJuniperEther, cat(hx("4d4743 01"), innerEth), in4 + cd + hi, 0},
		{"Juniper, no link layer", LinkJuniperEther, cat(hx("4d4743 82 0004 0102 0000 02000000"), innerTCP()), in4 + hi, 0},
		{"Juniper, PPP", LinkJuniperPPP, cat(hx("4d4743 00 ff03"), ppp4), in4 + hi, 0},
		{"Juniper, Cisco HDLC", LinkJuniperCHDLC, cat(hx("4d4743 00 0f00 86dd"), innerTCP6()), in6 + hi, 0},
		{"Juniper, Frame Relay", LinkJuniperFrames, cat(hx("4d4743 00 1841 03 cc"), innerTCP()), in4 + hi, 0},
		{"Juniper, ATM 1, SNAP", LinkJuniperATM1, cat(hx("4d4743 00 00000000 aaaa03 000000 0800"), innerTCP()), in4 + hi, 0},
		{"Juniper, ATM 2, IP as it is", LinkJuniperATM2, cat(hx("4d4743 00"), make([]byte, 8), innerTCP6()), in6 + hi, 0},
		{"Juniper, ATM 2, bridged Ethernet", LinkJuniperATM2, cat(hx("4d4743 00"), make([]byte, 8), hx("aaaa03 0080c2 0007 0000"), innerEth), in4 + cd + hi, 0},
		{"Juniper, ATM 1, protocol of ISO", LinkJuniperATM1, cat(hx("4d4743 00 00000000 fefe03 cc"), innerTCP()), in4 + hi, 0},
		{"Juniper, ATM 1, protocol alone", LinkJuniperATM1, cat(hx("4d4743 00 00000000 03 8e"), innerTCP6()), in6 + hi, 0},
		{"Juniper, MLPPP", LinkJuniperMLPPP, cat(hx("4d4743 00"), ppp4), in4 + hi, 0},
		{"Juniper, MLPPP with cookie", LinkJuniperMLPPP, cat(hx("4d4743 00 54000001"), ppp4), in4 + hi, 0},
		{"Juniper, no magic", LinkJuniperEther, innerEth, "unknown link type 178 corrupt-ether", 0},
		{"802.11 in a mesh", Link80211, cat(hx("8803 0000"), hx(macC+macD+macA), hx("0000"), hx(macB), hx("0001 00 1f 05000000 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"802.11 through a mesh, from stations beyond it", Link80211, cat(hx("8803 0000"), hx(macC+macD+macA), hx("0000"), hx(macB), hx("0001 02 1f 05000000"), hx(macC+macD), hx("aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"802.11, QoS with a number that has the mesh's bit", Link80211, cat(hx("8802 0000"), hx(macA+macC+macB), hx("0000 0001 aaaa03 000000 0800"), innerTCP()), in4 + ab + hi, 0},
		{"802.11 encrypted", Link80211, cat(hx("0841 0000"), hx(macC+macB+macA), hx("0000"), []byte("ciphertext")), "mac 02:00:00:00:00:01 <-> 02:00:00:00:00:02 ethertype 0x0000 back unknown-ether" + ab, 0},
		{"802.11 beacon", Link80211, cat(hx("8000 0000"), hx("ffffffffffff"+macB+macB), hx("0000"), []byte("beacon")), "group ff:ff:ff:ff:ff:ff ethertype 0x0000 unknown-ether mac 02>ff", 0},

		{"ARP answer", LinkEthernet, eth(macB, macA, etherARP, hx("0001 0800 06 04 0002 020000000001 0a000001 020000000002 0a000002")), "arp 10.0.0.1 mac 01>02", 0},
		{"ARP in VXLAN", LinkEthernet, inUDP(portVXLAN, cat(hx("08000000 00303900"), eth("ffffffffffff", macD, etherARP, hx("0001 0800 06 04 0001 020000000004 0a000002 000000000000 0a000001")))), "arp 10.0.0.1" + out + oMAC + " mac 04>ff vni 12345", TunnelVXLAN},
		{"IS-IS", LinkEthernet, eth("0180c2000015", macB, 20, cat(hx("fefe03 83"), make([]byte, 16))), "group 01:80:c2:00:00:15 ethertype 0x00fe mac 02>15", 0},
		{"XID", LinkEthernet, eth("ffffffffffff", macB, 6, hx("0001af 810100")), "group ff:ff:ff:ff:ff:ff ethertype 0x0000 mac 02>ff", 0},
		{"CDP in SNAP", LinkEthernet, eth("01000ccccccc", macB, 12, hx("aaaa03 00000c 2000 02b40000")), "group 01:00:0c:cc:cc:cc ethertype 0x2000 unknown-ether mac 02>cc", 0},

		{"SCTP", LinkEthernet, frame4(ProtoSCTP, sctp(5, 9, []byte("chunk"))), "sctp 192.0.2.1:5 <-> 192.0.2.2:9" + ab + ` "chunk"`, 0},
		{"ICMP", LinkEthernet, frame4(ProtoICMP, icmp(8, 0, []byte("ping"))), "icmp 192.0.2.1 <-> 192.0.2.2" + ab + ` "\b\x00\x00\x00\x00\x01\x00\x01ping"`, 0},
		{"ESP", LinkEthernet, frame4(ProtoESP, []byte("SPI.SEQ.cipher")), "esp 192.0.2.1 <-> 192.0.2.2" + ab + ` "cipher"`, 0},
		{"AH with ESP", LinkEthernet, frame4(ProtoAH, []byte("\x32\x04..SPI.SEQ.")), "ah 192.0.2.1 <-> 192.0.2.2" + ab + ` "SEQ."`, 0},
		{"AH with IP", LinkEthernet, frame4(ProtoAH, []byte("\x04\x04..SPI.SEQ.")), "ah 192.0.2.1 <-> 192.0.2.2 unknown-ip" + ab, 0},
		{"OSPF", LinkEthernet, frame4(ProtoOSPF, []byte("hello")), "ospf 192.0.2.1 <-> 192.0.2.2" + ab, 0},
		{"GRE keepalive", LinkEthernet, frame4(ProtoGRE, gre(0, 0, nil, nil)), "gre 192.0.2.1 <-> 192.0.2.2 unknown-ip" + ab, TunnelGRE},
		{"PPTP acknowledgement", LinkEthernet, frame4(ProtoGRE, gre(0x2081, etherPPP, make([]byte, 8), nil)), "gre 192.0.2.1 <-> 192.0.2.2 unknown-ip" + ab, TunnelGRE},
		{"unknown IP protocol", LinkEthernet, frame4(253, []byte("x")), "ip-253 192.0.2.1 <-> 192.0.2.2 unknown-ip" + ab, 0},
	} {
		p := decode(t, c.link, c.frame)
		if got := describe(&p); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
		if p.Tunnels != c.tunnels {
			t.Errorf("%s: tunnels %#x, want %#x", c.name, p.Tunnels, c.tunnels)
		}
	}
}

// TestNewerEncapsulations holds what is peeled of the frames of peeledFrames.
func TestNewerEncapsulations(t *testing.T) {
	const (
		in4    = "tcp 10.1.1.1:40000 <-> 10.2.2.2:443"
		in6    = "tcp [2001:db8::1]:40000 <-> [2001:db8::2]:443"
		teredo = "tcp [2001:0:4136:e378:8000:63bf:3fff:fdd2]:40000 <-> [2001:db8::2]:443"
		out    = " outer 192.0.2.1>192.0.2.2"
		out6   = " outer fc00::1>fc00::2"
		ab     = " mac 02>01"
		cd     = " outer 02>01 mac 04>03"
	)
	frames := peeledFrames()
	for _, c := range []struct {
		name, want string
		tunnels    Tunnels
	}{
		{"MPLS in UDP", in4 + out + ab + " label 16", TunnelMPLS},
		{"MPLS in UDP, Ethernet", in4 + out + cd + " label 16", TunnelMPLS},
		{"GRE in UDP", in6 + out + ab, TunnelGRE},
		{"LISP", in4 + out + ab, TunnelLISP},
		{"GUE", in4 + out + ab, TunnelGUE | TunnelIPIP},
		{"GUE with fields, IPv6", in6 + out + ab, TunnelGUE | Tunnel6in4},
		{"GUE with GRE", in4 + out + ab, TunnelGUE | TunnelGRE},
		{"GUE version 1", in6 + out + ab, TunnelGUE},
		{"Teredo", teredo + out + ab, TunnelTeredo},
		{"Teredo from a server", teredo + out + ab, TunnelTeredo},
		{"Teredo with origin", teredo + out + ab, TunnelTeredo},
		{"Teredo with authentication", teredo + out + ab, TunnelTeredo},
		{"Teredo with authentication and origin", teredo + out + ab, TunnelTeredo},
		{"EtherIP", in4 + out + cd, TunnelEtherIP},
		{"PIM register", in4 + out + ab, TunnelPIM},
		{"PIM register of a border, IPv6", in6 + out6 + ab, TunnelPIM},
		{"segment routing, IPv6", in6 + out6 + ab, TunnelSRv6 | Tunnel6in4},
		{"segment routing, IPv4", in4 + out6 + ab, TunnelSRv6 | TunnelIPIP},
		{"segment routing, Ethernet", in4 + out6 + cd, TunnelSRv6},
		{"segment routing, Ethernet, no header", in4 + out6 + cd, TunnelSRv6},
		{"L2TP 2", in4 + out + ab, TunnelL2TP | TunnelPPP},
		{"L2TP 2 with all fields, from a server", in4 + out + ab, TunnelL2TP | TunnelPPP},
		{"L2TP 3 in UDP", in4 + out + cd, TunnelL2TP},
		{"L2TP 3", in4 + out + cd, TunnelL2TP},
		{"L2TP 3 with cookie and sublayer", in4 + out + cd, TunnelL2TP},
		{"L2TP 3 with cookie, PPP", in4 + out + ab, TunnelL2TP},
	} {
		frame, ok := frames[c.name]
		if !ok {
			t.Fatalf("no frame %q", c.name)
		}
		delete(frames, c.name)
		p := decode(t, LinkEthernet, frame)
		if got := describe(&p); got != c.want+` "hello"` || p.Tunnels != c.tunnels {
			t.Errorf("%s:\ngot  %s, tunnels %#x\nwant %s, tunnels %#x", c.name, got, p.Tunnels, c.want, c.tunnels)
		}
		for n := range frame { // a snaplen leaves the key of inside or of outside, and never a mark
			var q Packet
			NewDecoder(LinkEthernet, Options{}).Decode(frame[:n], 1, len(frame), &q)
			if n >= 14+40 && q.Mark != MarkNone && q.Mark != MarkUnknownIP {
				t.Errorf("%s, cut at %d: %s", c.name, n, describe(&q))
			}
		}
	}
	for name := range frames {
		t.Errorf("%q is not tested", name)
	}
}

// TestReferenceTunnels holds that tunnels which the reference does not look into are sessions of their own where its
// documents are wanted; it knows what is in IP, whatever routes the packet.
func TestReferenceTunnels(t *testing.T) {
	for name, frame := range peeledFrames() {
		want := map[string]Tunnels{"segment routing, IPv6": Tunnel6in4, "segment routing, IPv4": TunnelIPIP}[name]
		var p Packet
		NewDecoder(LinkEthernet, Options{Reference: true}).Decode(frame, 1, len(frame), &p)
		if p.Tunnels != want {
			t.Errorf("%s: peeled %b, want %b", name, p.Tunnels, want)
		}
	}
}

// What a tunnel says for itself is a flow of its own.
func TestMessagesOfTunnels(t *testing.T) {
	frame4 := func(proto uint8, payload []byte) []byte {
		return eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", proto, payload))
	}
	inUDP := func(port uint16, payload []byte) []byte { return frame4(ProtoUDP, udp(port, port, payload)) }
	const ends = " 192.0.2.1 <-> 192.0.2.2"
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"PIM hello", frame4(ProtoPIM, hx("20 00 dead 0001 0002 0069")), "pim" + ends},
		{"PIM null register", frame4(ProtoPIM, cat(hx("21 00 dead 40000000"), ip4("10.1.1.1", "232.1.1.1", ProtoPIM, nil))), "pim" + ends},
		{"PIM register with nonsense", frame4(ProtoPIM, cat(hx("21 00 dead 00000000"), []byte("nonsense"))), "pim" + ends},
		{"EtherIP of another version", frame4(ProtoEtherIP, cat(hx("4000"), eth(macC, macD, etherIPv4, innerTCP()))), "ip-97" + ends + " unknown-ip"},
		{"EtherIP with nonsense", frame4(ProtoEtherIP, cat(hx("3000"), []byte("nonsense"))), "ip-97" + ends + " corrupt-ip"},
		{"L2TP 3, control", frame4(ProtoL2TP, cat(hx("00000000 c803"), make([]byte, 10))), "ip-115" + ends + " unknown-ip"},
		{"L2TP 3, nothing known inside", frame4(ProtoL2TP, cat(hx("00000007"), make([]byte, 40))), "ip-115" + ends + " unknown-ip"},
		{"L2TP 2, control", inUDP(portL2TP, hx("c802 000c 0001 0000 0000 0000")), "udp 192.0.2.1:1701 <-> 192.0.2.2:1701"},
		{"L2TP 2, LCP", inUDP(portL2TP, hx("0002 0001 0002 ff03 c021 01010004")), "udp 192.0.2.1:1701 <-> 192.0.2.2:1701"},
		{"Teredo bubble", inUDP(portTeredo, ip6("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::2", 59, nil)), "udp 192.0.2.1:3544 <-> 192.0.2.2:3544"},
		{"no address of Teredo", inUDP(portTeredo, innerTCP6()), "udp 192.0.2.1:3544 <-> 192.0.2.2:3544"},
		{"GUE, control", inUDP(portGUE, cat(hx("20 04 0000"), innerTCP())), "udp 192.0.2.1:6080 <-> 192.0.2.2:6080"},
		{"GUE with TCP", inUDP(portGUE, cat(hx("00 06 0000"), make([]byte, 20))), "udp 192.0.2.1:6080 <-> 192.0.2.2:6080"},
	} {
		p := decode(t, LinkEthernet, c.frame)
		got, _, _ := strings.Cut(describe(&p), " mac")
		if got != c.want || len(p.OuterIPs()) != 0 || p.HasMAC && p.SrcMAC != [6]byte(hx(macB)) && p.Mark != MarkCorruptIP {
			t.Errorf("%s: %s, want %s", c.name, describe(&p), c.want)
		}
	}
}

// Tunnels that may begin at several places, one in another, cannot make a frame cost more than its tries.
func TestTriesAreBounded(t *testing.T) {
	// Labels make all four places of a pseudowire lead to the packet behind the last of them.
	labels := bytes.Repeat(hx("00008847"), 6)
	b := []byte("nothing that is known")
	for range 12 {
		b = cat(hx("00000007"), make([]byte, 12), hx("8847"), labels, hx("00000100"), ip4("192.0.2.1", "192.0.2.2", ProtoL2TP, b))
	}
	d, p := NewDecoder(LinkEthernet, Options{}), new(Packet)
	frame := eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", ProtoL2TP, b))
	d.Decode(frame, 1, len(frame), p)
	if got := describe(p); d.tries != 0 || got != "ip-115 192.0.2.1 <-> 192.0.2.2 unknown-ip mac 02>01" {
		t.Errorf("%s, %d tries left", got, d.tries)
	}
	d.Decode(frame[:14], 1, 14, p)
	if d.tries != maxTries {
		t.Errorf("%d tries at the next frame", d.tries)
	}
}

func nflogFrame(o binary.AppendByteOrder, family byte, packet []byte) []byte {
	b := []byte{family, 0, 0, 5}
	b = append(o.AppendUint16(o.AppendUint16(b, 7), 10), 'p', 'r', 'e', 0) // prefix, padded to 4
	b = o.AppendUint16(o.AppendUint16(b, uint16(4+len(packet))), 9)
	return append(b, packet...)
}

// What looks like a tunnel and is none stays the flow that it is.
func TestTunnelPortsProveNothing(t *testing.T) {
	for _, port := range []uint16{portVXLAN, portVXLANOld, portVXLANGPE, portGENEVE, portGTPU, portMPLS, portGRE, portGUE, portLISP, portTeredo, portL2TP} {
		for _, payload := range []string{"", "x", "just some text that is no tunnel header at all", "\x08\x00\x00\x00\x00\x00\x01\x00short", "\x30\xff\x00\x30\x00\x00\x00\x01\x45nonsense", "\x00\x02\x00\x01\x00\x02\x00\x21nonsense"} {
			frame := eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", ProtoUDP, udp(55555, port, []byte(payload))))
			p := decode(t, LinkEthernet, frame)
			want := fmt.Sprintf("udp 192.0.2.1:55555 <-> 192.0.2.2:%d mac 02>01 %q", port, payload)
			if got := describe(&p); got != want || p.Tunnels != 0 || p.TTL != 64 {
				t.Errorf("port %d: %s, tunnels %#x, want %s", port, got, p.Tunnels, want)
			}
		}
	}
}

func TestCorruptAndCut(t *testing.T) {
	const ab = " mac 02>01"
	plain := eth(macA, macB, etherIPv4, innerTCP())
	with := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	mac := "mac 02:00:00:00:00:01 <-> 02:00:00:00:00:02 ethertype "
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"empty", nil, "unknown link type 1 corrupt-ether"},
		{"Ethernet header cut", plain[:13], "unknown link type 1 corrupt-ether"},
		{"IPv4 header cut", plain[:30], mac + "0x0800 back corrupt-ip" + ab},
		{"IPv4 version", with(plain, 14, 0x75), mac + "0x0800 back corrupt-ip" + ab},
		{"IPv4 header length", with(plain, 14, 0x44), mac + "0x0800 back corrupt-ip" + ab},
		{"IPv4 total length below header", with(plain, 16, 0, 19), mac + "0x0800 back corrupt-ip" + ab},
		{"TCP offset", with(plain, 14+20+12, 0x40), "tcp 10.1.1.1 <-> 10.2.2.2 corrupt-ip" + ab},
		{"TCP offset beyond segment", with(plain, 14+20+12, 0xf0), "tcp 10.1.1.1 <-> 10.2.2.2 corrupt-ip" + ab},
		{"UDP length", eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.2", ProtoUDP, hx("0001 0002 0000 0000"))), "udp 10.1.1.1 <-> 10.2.2.2 corrupt-ip" + ab},
		{"UDP header not whole", eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.2", ProtoUDP, hx("0001 0002 00"))), "udp 10.1.1.1 <-> 10.2.2.2 corrupt-ip" + ab},
		{"IP in IP with nonsense", eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.2", ProtoIPIP, []byte("nonsense"))), "ip-4 10.1.1.1 <-> 10.2.2.2 corrupt-ip" + ab},
		{"extension headers without end", eth(macA, macB, etherIPv6, ip6("fc00::1", "fc00::2", extDest, ext6(ProtoIPIP, 255, innerTCP()))), "ip-4 fc00::1 <-> fc00::2 corrupt-ip" + ab},
		{"extension header cut", eth(macA, macB, etherIPv6, ip6("fc00::1", "fc00::2", extDest, hx("06 09 0000"))), "ip-60 fc00::1 <-> fc00::2 corrupt-ip" + ab},
		{"802.3 length beyond the frame", eth(macA, macB, 0xfe, hx("831b 01")), mac + "0x0000 back corrupt-ether" + ab},
		{"tag cut", eth(macA, macB, etherVLAN, hx("00")), mac + "0x0000 back corrupt-ether" + ab},
		{"labels without bottom", eth(macA, macB, etherMPLS, mplsLabel(1, false, nil)), mac + "0x8847 back corrupt-ether" + ab + " label 1"},
	} {
		p := decode(t, LinkEthernet, c.frame)
		if got := describe(&p); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// A capture with a snaplen keeps the key as long as the ports are in it.
func TestSnaplen(t *testing.T) {
	frame := eth(macA, macB, etherIPv4, innerTCP())
	whole := decode(t, LinkEthernet, frame)
	for n := 14 + 20; n < len(frame); n++ {
		var p Packet
		NewDecoder(LinkEthernet, Options{}).Decode(frame[:n], 1, len(frame), &p)
		if !p.Truncated || p.Missing != uint32(len(frame)-n) || p.Mark != MarkNone {
			t.Errorf("cut at %d: truncated %v, missing %d, mark %v", n, p.Truncated, p.Missing, p.Mark)
		}
		if n >= 14+20+4 && p.Key != whole.Key {
			t.Errorf("cut at %d: key %v, want %v", n, p.Key, whole.Key)
		}
	}
}

// TestPayloadLen holds that the length of the payload is what was on the wire, wherever the capture ends.
func TestPayloadLen(t *testing.T) {
	data := make([]byte, 77)
	in4 := func(proto uint8, l4 []byte) []byte {
		return eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.2", proto, l4))
	}
	offload := in4(ProtoTCP, tcp(1, 2, 3, 4, FlagACK, data))
	offload[16], offload[17] = 0, 0
	for _, c := range []struct {
		name  string
		frame []byte
		from  int // bytes of the capture that tell
		want  uint32
	}{
		{"TCP", in4(ProtoTCP, tcp(1, 2, 3, 4, FlagACK, data)), 34, 77},
		{"TCP over IPv6", eth(macA, macB, etherIPv6, ip6("fc00::1", "fc00::2", ProtoTCP, tcp(1, 2, 3, 4, FlagACK, data))), 54, 77},
		{"TCP, no length: offload", offload, 34, 77},
		{"UDP", in4(ProtoUDP, udp(1, 2, data)), 34, 77},
		{"UDP with padding behind", cat(in4(ProtoUDP, udp(1, 2, data[:2])), data[:16]), 42, 2},
		{"SCTP", in4(ProtoSCTP, sctp(1, 2, data)), 34, 77},
		{"ICMP", in4(ProtoICMP, icmp(8, 0, data)), 34, uint32(len(icmp(8, 0, data)))},
		{"ESP", in4(ProtoESP, data), 34, 69},
		{"TCP in GRE", in4(ProtoGRE, gre(0, etherIPv4, nil, ip4("10.1.1.3", "10.2.2.4", ProtoTCP, tcp(1, 2, 3, 4, FlagACK, data)))), 58, 77},
		{"nothing", in4(ProtoTCP, tcp(1, 2, 3, 4, FlagACK, nil)), 34, 0},
	} {
		for n := c.from; n <= len(c.frame); n++ {
			var p Packet
			NewDecoder(LinkEthernet, Options{}).Decode(c.frame[:n:n], 1, len(c.frame), &p)
			if p.PayloadLen != c.want {
				t.Errorf("%s, cut at %d of %d: payload of %d bytes, want %d", c.name, n, len(c.frame), p.PayloadLen, c.want)
			}
		}
	}
}

// TestPayloadLenOfFragments adds up what fragments of a cut capture carry.
func TestPayloadLenOfFragments(t *testing.T) {
	data := make([]byte, 200)
	for _, c := range []struct {
		name  string
		proto uint8
		l4    []byte
		want  uint32
	}{
		{"UDP", ProtoUDP, udp(1, 2, data), 200},
		{"ICMP", ProtoICMP, icmp(8, 0, data), uint32(len(icmp(8, 0, data)))},
		{"TCP", ProtoTCP, tcp(1, 2, 3, 4, FlagACK, data), 200},
	} {
		d := NewDecoder(LinkEthernet, Options{})
		var sum uint32
		for off := 0; off < len(c.l4); off += 80 {
			end, more := min(off+80, len(c.l4)), uint16(0)
			if end < len(c.l4) {
				more = 0x2000
			}
			frame := eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.2", c.proto, c.l4[off:end], ip4Opt{id: 7, frag: uint16(off/8) | more}))
			n := 14 + 20 + 24
			var p Packet
			d.Decode(frame[:n:n], 1, len(frame), &p)
			if !p.CutFragment() {
				t.Errorf("%s: fragment at %d is not cut", c.name, off)
			}
			sum += p.PayloadLen
		}
		if sum != c.want {
			t.Errorf("%s: fragments of %d bytes in all, want %d", c.name, sum, c.want)
		}
	}
}

func TestHeaderFields(t *testing.T) {
	p := decode(t, LinkEthernet, eth(macA, macB, etherVLAN, tag(0x6064, etherIPv4, ip4("10.2.2.2", "10.1.1.1", ProtoTCP, tcp(443, 40000, 7, 9, FlagSYN|FlagACK|FlagAE, nil), ip4Opt{id: 77, frag: 0x4000}))))
	if p.Seq != 7 || p.Ack != 9 || p.Flags != FlagSYN|FlagACK|FlagAE || p.Window != 0x2000 || p.SrcPort != 443 || p.DstPort != 40000 {
		t.Errorf("TCP fields %+v", p)
	}
	if p.TTL != 64 || p.DSCP() != 10 || p.Proto != ProtoTCP || p.IPID != 77 || p.Fragment || p.EtherType != etherIPv4 || p.L3Type != etherIPv4 {
		t.Errorf("IP fields %+v", p)
	}
	if v := p.VLANs()[0]; v.PCP != 3 || v.ID != 100 {
		t.Errorf("VLAN %+v", v)
	}
	if p.Src().String() != "10.2.2.2:443" || p.Dst().String() != "10.1.1.1:40000" || p.Dir != BtoA {
		t.Errorf("ends %v, %v, direction %d", p.Src(), p.Dst(), p.Dir)
	}
	p = decode(t, LinkEthernet, eth(macA, macB, etherPPPoE, cat(hx("11 00 1234 0000 0057"), innerTCP6())))
	if p.TTL != 63 || p.DSCP() != 10 || p.EtherType != etherPPPoE || p.L3Type != etherIPv6 {
		t.Errorf("IPv6 in PPPoE: %+v", p)
	}
}

// Frames that nest as deep as they can end in a key and in bounded time.
func TestNestingIsBounded(t *testing.T) {
	deep := innerTCP()
	for range 60 {
		deep = ip4("192.0.2.1", "192.0.2.2", ProtoIPIP, deep)
	}
	p := decode(t, LinkEthernet, eth(macA, macB, etherIPv4, deep))
	if p.Key.Kind != KindIPv4 || p.Mark != MarkCorruptIP || len(p.OuterIPs()) != MaxOuter {
		t.Errorf("60 tunnels: %s", describe(&p))
	}
	tags := innerTCP()
	typ := etherIPv4
	for range 300 {
		tags, typ = tag(9, typ, tags), etherVLAN
	}
	if p := decode(t, LinkEthernet, eth(macA, macB, typ, tags)); len(p.VLANs()) != MaxVLANs || p.Key.PortA+p.Key.PortB != 40443 {
		t.Errorf("300 tags: %s", describe(&p))
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	d, p := NewDecoder(LinkEthernet, Options{}), new(Packet)
	frames := benchFrames()
	frames = append(frames, eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", ProtoUDP, udp(5, portVXLAN, cat(hx("08000000 00303900"), eth(macC, macD, etherIPv4, innerTCP()))))))
	for _, f := range peeledFrames() {
		frames = append(frames, f)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			d.Decode(f, 1, len(f), p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
