package packet

import (
	"bytes"
	"testing"
)

// FuzzDecode holds the decoder to its promise on any bytes of any link type: a valid key, the same for the
// same bytes, and slices within the frame.
func FuzzDecode(f *testing.F) {
	links := []uint32{
		LinkEthernet, LinkNull, LinkPPP, LinkRaw, LinkPPPEther, LinkCHDLC, Link80211, LinkFrameRelay, LinkLoop,
		LinkSLL, LinkSLL2, Link80211Radio, LinkPPPWithDir, LinkMPLS, LinkNFLOG, LinkPrism, LinkAVS, LinkPPI, LinkEnc, LinkPFLog, LinkPKTAP, 147,
		LinkIPoIB, LinkJuniperEther, LinkJuniperPPP, LinkJuniperFrames, LinkJuniperCHDLC, LinkJuniperATM1, LinkJuniperATM2, LinkJuniperMLPPP,
	}
	for _, b := range benchFrames() {
		f.Add(uint8(0), b)
	}
	for _, v := range keyVectors {
		f.Add(uint8(0), v.frame)
	}
	for _, typ := range []uint16{etherMPLS, etherPPPoE, etherNSH, etherCiscoMeta, etherFabricPath, etherERSPAN2, etherArista} {
		f.Add(uint8(0), eth(macA, macB, typ, innerTCP()))
	}
	for _, port := range []uint16{portVXLAN, portVXLANGPE, portGENEVE, portGTPU} {
		f.Add(uint8(0), eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", ProtoUDP, udp(1, port, cat(hx("34ff000c00303900"), innerTCP())))))
	}
	f.Add(uint8(0), eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", ProtoGRE, gre(0x3081, etherPPP, make([]byte, 12), append(hx("0021"), innerTCP()...)))))
	f.Add(uint8(0), eth(macA, macB, etherIPv6, ip6("fc00::1", "fc00::2", extHop, ext6(extFragment, 0, frag6(ProtoTCP, 0, true, 7, make([]byte, 40))))))
	for i := range links {
		f.Add(uint8(i), innerTCP())
	}
	for _, b := range peeledFrames() {
		f.Add(uint8(0), b)
	}
	for i, link := range links {
		if link == LinkIPoIB {
			f.Add(uint8(i), cat(make([]byte, 40), hx("0800 0000"), innerTCP()))
		}
		f.Add(uint8(i), cat(hx("4d4743 82 0004 0102 0000 02000000"), innerTCP()))
		f.Add(uint8(i), cat(hx("4d4743 00 00000000 aaaa03 000000 0800"), innerTCP()))
	}
	f.Add(uint8(14), nflogFrame(be, 2, innerTCP()))
	f.Fuzz(func(t *testing.T, link uint8, b []byte) {
		d := NewDecoder(links[int(link)%len(links)], Options{FragmentLimit: 16})
		var p, q Packet
		orig := bytes.Clone(b)
		d.Decode(b, 5, len(b), &p)
		check(t, &p, b)
		d.Decode(b, 5, len(b), &q)
		// A later fragment in the frame may find the first one that is around it; all else is the same.
		if !p.Fragment && p.Key != q.Key {
			t.Fatalf("first %v, then %v", p.Key, q.Key)
		}
		if !bytes.Equal(orig, b) {
			t.Fatal("the frame was changed")
		}
		for n := range min(len(b), 80) {
			d.Decode(b[:n], 5, len(b), &q)
			check(t, &q, b[:n])
		}
	})
}
