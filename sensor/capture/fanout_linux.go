package capture

import "golang.org/x/sys/unix"

// fanoutProgram returns the classic BPF program by which the kernel chooses the
// worker of a packet: it returns a hash of the two innermost IP addresses that can
// be found without a loop, the same for both directions, and the kernel takes it
// modulo the number of workers. So all packets of a flow are in one lane, and all
// fragments too, which have no ports. What has no IP addresses, and what is cut off
// before they end, is worker 0's.
//
// It looks through VLAN tags, MPLS labels and PPPoE, and into VXLAN and GENEVE,
// whose outer addresses may differ by direction when traffic is mirrored. Other
// tunnels (GRE, GTP-U, IP in IP) are spread by their outer addresses. A tunnel's
// packets that are fragments go by the outer addresses as well: only the first
// fragment has others.
//
// The kernel runs it with the packet's data at the network layer for what comes in,
// and at the link layer for what goes out.
func fanoutProgram(ethernet bool) ([]unix.SockFilter, error) {
	var p program
	p.loadAncillary(skfAdProtocol)
	p.op(bpfTax, 0)
	p.op(bpfSt, scratchProto)
	p.op(bpfLdxImm, 0)
	if ethernet {
		p.loadAncillary(skfAdPktType)
		p.jumpUnless(bpfJeq, unix.PACKET_OUTGOING, "outer")
		p.op(bpfLdhAbs, 12)
		p.op(bpfSt, scratchProto)
		p.op(bpfLdxImm, 14)
	}
	p.label("outer")
	p.peelLink("outer", maxTags)

	// X is at the IP header, its ethertype is in scratch.
	p.op(bpfLdMem, scratchProto)
	p.jumpIf(bpfJeq, unix.ETH_P_IP, "outer4")
	p.jumpIf(bpfJeq, unix.ETH_P_IPV6, "outer6")
	p.jump("none")

	p.label("outer4")
	p.hash4()
	p.op(bpfSt, scratchHash)
	p.op(bpfLdhInd, 6) // flags and fragment offset
	p.jumpIf(bpfJset, 0x3fff, "done")
	p.op(bpfLdbInd, 9)
	p.jumpUnless(bpfJeq, unix.IPPROTO_UDP, "done")
	p.op(bpfLdbInd, 0)
	p.op(bpfAnd, 15)
	p.op(bpfLsh, 2)
	p.op(bpfAddX, 0)
	p.op(bpfTax, 0)
	p.jump("udp")

	p.label("outer6")
	p.hash6()
	p.op(bpfSt, scratchHash)
	p.op(bpfLdbInd, 6) // UDP behind extension headers is spread by the outer addresses
	p.jumpUnless(bpfJeq, unix.IPPROTO_UDP, "done")
	p.op(bpfTxa, 0)
	p.op(bpfAdd, 40)
	p.op(bpfTax, 0)

	p.label("udp") // X is at the UDP header
	p.op(bpfLdhInd, 2)
	p.jumpIf(bpfJeq, 6081, "geneve")
	p.jumpIf(bpfJeq, 4789, "vxlan")
	p.jumpUnless(bpfJeq, 8472, "done") // Linux before IANA assigned 4789

	// A load beyond the packet ends the program with 0, which would tear short UDP
	// packets that are no tunnel from their flow: each step is checked by the length.
	p.label("vxlan") // RFC 7348
	p.need(8+8+14+20, "done")
	p.op(bpfLdbInd, 8)
	p.jumpUnless(bpfJset, 0x08, "done")
	p.op(bpfTxa, 0)
	p.op(bpfAdd, 8+8+14)
	p.op(bpfTax, 0)
	p.op(bpfLdhInd, -2)
	p.op(bpfSt, scratchProto)
	p.jump("inner")

	p.label("geneve") // RFC 8926
	p.need(8+8+20, "done")
	p.op(bpfLdbInd, 8)
	p.jumpIf(bpfJset, 0xc0, "done") // version
	p.op(bpfLdhInd, 8+2)
	p.op(bpfSt, scratchProto)
	p.op(bpfLdbInd, 8)
	p.op(bpfAnd, 0x3f)
	p.op(bpfLsh, 2)
	p.op(bpfAddX, 0)
	p.op(bpfAdd, 8+8)
	p.op(bpfTax, 0)
	p.need(20, "done")
	p.op(bpfLdMem, scratchProto)
	p.jumpUnless(bpfJeq, unix.ETH_P_TEB, "inner")
	p.need(14+20, "done")
	p.op(bpfTxa, 0)
	p.op(bpfAdd, 14)
	p.op(bpfTax, 0)
	p.op(bpfLdhInd, -2)
	p.op(bpfSt, scratchProto)

	p.label("inner") // X is behind an ethertype, 20 bytes are there
	for i := range 2 {
		next := "inner" + string(rune('a'+i))
		p.op(bpfLdMem, scratchProto)
		p.jumpIf(bpfJeq, unix.ETH_P_8021Q, next+"tag")
		p.jumpUnless(bpfJeq, unix.ETH_P_8021AD, next)
		p.label(next + "tag")
		p.need(4+20, "done")
		p.skipTag()
		p.label(next)
	}
	p.op(bpfLdMem, scratchProto)
	p.jumpIf(bpfJeq, unix.ETH_P_IP, "inner4")
	p.jumpUnless(bpfJeq, unix.ETH_P_IPV6, "done")
	p.need(40, "done")
	p.version(6, "done")
	p.hash6()
	p.jump("mix")
	p.label("inner4")
	p.version(4, "done")
	p.hash4()
	p.jump("mix")

	p.label("done")
	p.op(bpfLdMem, scratchHash)
	p.label("mix") // the kernel takes the remainder: make the low bits depend on all
	p.op(bpfMul, 0x9e3779b1)
	p.op(bpfRsh, 15)
	p.op(bpfRetA, 0)
	p.label("none")
	p.op(bpfRetK, 0)
	return p.assemble()
}

// maxTags is how many VLAN tags and MPLS labels each are looked through.
const maxTags = 4

// Words of scratch memory.
const (
	scratchProto = 0 // ethertype of what X is at
	scratchHash  = 1 // hash of the outer addresses
	scratchSum   = 2
	scratchX     = 3
)

// peelLink moves X behind VLAN tags, then MPLS labels or PPPoE, and scratchProto with it.
func (p *program) peelLink(at string, n int) {
	for i := range n {
		next := at + "vlan" + string(rune('a'+i))
		p.op(bpfLdMem, scratchProto)
		for _, tpid := range []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD, unix.ETH_P_QINQ1, unix.ETH_P_QINQ2} {
			p.jumpIf(bpfJeq, tpid, next+"tag")
		}
		p.jump(at + "untagged")
		p.label(next + "tag")
		p.skipTag()
	}
	p.label(at + "untagged")
	p.op(bpfLdMem, scratchProto)
	p.jumpIf(bpfJeq, unix.ETH_P_PPP_SES, at+"pppoe")
	p.jumpIf(bpfJeq, unix.ETH_P_MPLS_UC, at+"mpls")
	p.jumpUnless(bpfJeq, unix.ETH_P_MPLS_MC, at+"end")

	p.label(at + "mpls") // RFC 3032: the lowest bit of the third byte ends the stack
	for range n {
		p.op(bpfLdbInd, 2)
		p.op(bpfSt, scratchHash)
		p.op(bpfTxa, 0)
		p.op(bpfAdd, 4)
		p.op(bpfTax, 0)
		p.op(bpfLdMem, scratchHash)
		p.jumpIf(bpfJset, 1, at+"bottom")
	}
	p.jump("none")
	p.label(at + "bottom") // nothing says what follows but its first nibble
	p.op(bpfLdbInd, 0)
	p.op(bpfRsh, 4)
	p.jumpIf(bpfJeq, 4, at+"is4")
	p.jumpIf(bpfJeq, 6, at+"is6")
	p.jump("none")

	p.label(at + "pppoe") // RFC 2516: 6 bytes, and PPP's protocol
	p.op(bpfTxa, 0)
	p.op(bpfAdd, 8)
	p.op(bpfTax, 0)
	p.op(bpfLdhInd, -2)
	p.jumpIf(bpfJeq, 0x0021, at+"is4")
	p.jumpIf(bpfJeq, 0x0057, at+"is6")
	p.jump("none")

	p.label(at + "is4")
	p.op(bpfLdImm, unix.ETH_P_IP)
	p.op(bpfSt, scratchProto)
	p.jump(at + "end")
	p.label(at + "is6")
	p.op(bpfLdImm, unix.ETH_P_IPV6)
	p.op(bpfSt, scratchProto)
	p.label(at + "end")
}

// skipTag moves X behind a VLAN tag, whose ethertype it keeps.
func (p *program) skipTag() {
	p.op(bpfLdhInd, 2)
	p.op(bpfSt, scratchProto)
	p.op(bpfTxa, 0)
	p.op(bpfAdd, 4)
	p.op(bpfTax, 0)
}

// need jumps unless n bytes are there from X on.
func (p *program) need(n int64, otherwise string) { // that does not need X
	p.op(bpfStx, scratchX)
	p.op(bpfTxa, 0)
	p.op(bpfAdd, n)
	p.op(bpfLdxLen, 0)
	p.jumpIf(bpfJgtX, 0, otherwise)
	p.op(bpfLdxMem, scratchX)
}

// version jumps unless the first nibble at X is v.
func (p *program) version(v uint32, otherwise string) {
	p.op(bpfLdbInd, 0)
	p.op(bpfRsh, 4)
	p.jumpUnless(bpfJeq, v, otherwise)
}

// hash4 leaves the exclusive or of the two addresses of the IPv4 header at X in A.
func (p *program) hash4() { p.xorWords(12, 2) }

// hash6 does the same for IPv6.
func (p *program) hash6() { p.xorWords(8, 8) }

func (p *program) xorWords(at int64, n int) {
	p.op(bpfLdInd, at)
	for i := 1; i < n; i++ {
		p.op(bpfSt, scratchSum)
		p.op(bpfLdInd, at+4*int64(i))
		p.op(bpfStx, scratchX)
		p.op(bpfLdxMem, scratchSum)
		p.op(bpfXorX, 0)
		p.op(bpfLdxMem, scratchX)
	}
}
