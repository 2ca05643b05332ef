package capture

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of classic BPF that are needed here (Linux: networking/filter).
const (
	bpfLdAbs  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	bpfLdhAbs = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS
	bpfLdInd  = unix.BPF_LD | unix.BPF_W | unix.BPF_IND
	bpfLdhInd = unix.BPF_LD | unix.BPF_H | unix.BPF_IND
	bpfLdbInd = unix.BPF_LD | unix.BPF_B | unix.BPF_IND
	bpfLdImm  = unix.BPF_LD | unix.BPF_IMM
	bpfLdMem  = unix.BPF_LD | unix.BPF_MEM
	bpfLdxImm = unix.BPF_LDX | unix.BPF_IMM
	bpfLdxMem = unix.BPF_LDX | unix.BPF_MEM
	bpfLdxLen = unix.BPF_LDX | unix.BPF_W | unix.BPF_LEN
	bpfSt     = unix.BPF_ST
	bpfStx    = unix.BPF_STX
	bpfTax    = unix.BPF_MISC | unix.BPF_TAX
	bpfTxa    = unix.BPF_MISC | unix.BPF_TXA
	bpfAdd    = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K
	bpfAddX   = unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X
	bpfAnd    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	bpfMul    = unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K
	bpfLsh    = unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K
	bpfRsh    = unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K
	bpfXorX   = unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X
	bpfJa     = unix.BPF_JMP | unix.BPF_JA
	bpfJeq    = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	bpfJset   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	bpfJgtX   = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X
	bpfRetK   = unix.BPF_RET | unix.BPF_K
	bpfRetA   = unix.BPF_RET | unix.BPF_A
)

// Ancillary data, at negative offsets (linux/filter.h).
const (
	skfAdOff      = -0x1000
	skfAdProtocol = 0 // ethertype of what is at the network layer
	skfAdPktType  = 4
)

// program is a classic BPF program with labels.
type program struct {
	code   []unix.SockFilter
	labels map[string]int
	jumps  map[int]string // to be resolved, by the place of their JA
}

func (p *program) op(code uint16, k int64) {
	p.code = append(p.code, unix.SockFilter{Code: code, K: uint32(k)})
}

func (p *program) loadAncillary(field int64) { p.op(bpfLdAbs, skfAdOff+field) }

func (p *program) label(name string) {
	if p.labels == nil {
		p.labels = map[string]int{}
	}
	p.labels[name] = len(p.code)
}

func (p *program) jump(to string) {
	if p.jumps == nil {
		p.jumps = map[int]string{}
	}
	p.jumps[len(p.code)] = to
	p.op(bpfJa, 0)
}

// jumpIf jumps when A and k, or X, compare so. Conditions reach 255 instructions, and
// jumps without one everywhere.
func (p *program) jumpIf(code uint16, k uint32, to string) {
	p.code = append(p.code, unix.SockFilter{Code: code, Jt: 0, Jf: 1, K: k})
	p.jump(to)
}

func (p *program) jumpUnless(code uint16, k uint32, to string) {
	p.code = append(p.code, unix.SockFilter{Code: code, Jt: 1, Jf: 0, K: k})
	p.jump(to)
}

// assemble resolves the jumps.
func (p *program) assemble() ([]unix.SockFilter, error) {
	for at, to := range p.jumps {
		target, ok := p.labels[to]
		if !ok || target <= at {
			return nil, fmt.Errorf("BPF: no label %s behind instruction %d", to, at)
		}
		p.code[at].K = uint32(target - at - 1)
	}
	return p.code, nil
}

// setProgram hands a program to a socket, as its filter or for its fan-out. The kernel
// exchanges the filter at once: no packet meets neither or both.
func setProgram(fd, level, option int, code []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: unsafe.SliceData(code)} //nolint:gosec // the kernel copies it in the call
	return unix.SetsockoptSockFprog(fd, level, option, &prog)
}

// socketFilter returns what is attached to the sockets: the filter given, which returns
// the snaplen, or one that takes all. On a loopback interface what goes out comes in
// again, and is taken there.
func socketFilter(filter []unix.SockFilter, snaplen uint32, loopback bool) []unix.SockFilter {
	var p program
	if loopback {
		p.loadAncillary(skfAdPktType)
		p.code = append(p.code, unix.SockFilter{Code: bpfJeq, Jt: 0, Jf: 1, K: unix.PACKET_OUTGOING})
		p.op(bpfRetK, 0)
	}
	if filter == nil {
		p.op(bpfRetK, int64(snaplen))
	}
	return append(p.code, filter...)
}
