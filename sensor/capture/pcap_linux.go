package capture

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"

	"wirelake/internal/packet"
)

// libpcap compiles filters. It is loaded when the first filter is set, so that a
// sensor without one runs without it, and nothing is linked against it.
type libpcap struct {
	mu sync.Mutex // versions before 1.8 compile one filter at a time

	create      func(device string, errbuf *[pcapErrbufSize]byte) uintptr
	setSnaplen  func(p uintptr, n int32) int32
	setBuffer   func(p uintptr, n int32) int32
	activate    func(p uintptr) int32
	openDead    func(linkType, snaplen int32) uintptr
	datalink    func(p uintptr) int32
	compile     func(p uintptr, prog *bpfProgram, filter string, optimize int32, netmask uint32) int32
	freecode    func(prog *bpfProgram)
	geterr      func(p uintptr) string
	statustostr func(code int32) string
	close       func(p uintptr)
}

// bpfProgram is struct bpf_program (pcap/bpf.h).
type bpfProgram struct {
	n     uint32
	insns *unix.SockFilter // the layout of struct bpf_insn is the same
}

const (
	pcapErrbufSize     = 256
	pcapNetmaskUnknown = 0xffffffff
)

// loadLibpcap loads the library once in a process.
//
//nolint:gochecknoglobals // the dynamic loader keeps it for the process anyway
var loadLibpcap = sync.OnceValues(func() (*libpcap, error) {
	var first error
	for _, name := range []string{"libpcap.so.0.8", "libpcap.so.1", "libpcap.so"} { // Debian's name, others', a developer's
		handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		l := &libpcap{}
		for symbol, f := range map[string]any{
			"pcap_create": &l.create, "pcap_set_snaplen": &l.setSnaplen, "pcap_set_buffer_size": &l.setBuffer,
			"pcap_activate": &l.activate, "pcap_open_dead": &l.openDead, "pcap_datalink": &l.datalink,
			"pcap_compile": &l.compile, "pcap_freecode": &l.freecode, "pcap_geterr": &l.geterr,
			"pcap_statustostr": &l.statustostr, "pcap_close": &l.close,
		} {
			address, err := purego.Dlsym(handle, symbol)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			purego.RegisterFunc(f, address)
		}
		return l, nil
	}
	return nil, fmt.Errorf("a filter needs libpcap, which is not installed: install the package libpcap0.8 "+
		"(libpcap0.8t64 in newer Debian and Ubuntu), or libpcap in other distributions: %w", first)
})

// errFilter says that a filter is wrong, not that something is missing.
var errFilter = errors.New("filter")

// compileFilter compiles a filter for packets of an interface that is up. It returns
// nil for an empty one. The program returns snaplen for what it takes, and 0.
//
// libpcap opens the interface for it: only so it makes use of what the kernel tells of
// a packet beside its bytes, of the VLAN tag above all, which is not in them.
func compileFilter(filter string, l *link, snaplen int) ([]unix.SockFilter, error) {
	if strings.TrimSpace(filter) == "" {
		return nil, nil
	}
	lib, err := loadLibpcap()
	if err != nil {
		return nil, err
	}
	lib.mu.Lock()
	defer lib.mu.Unlock()
	var errbuf [pcapErrbufSize]byte
	p := lib.create(l.name, &errbuf)
	if p == 0 {
		return nil, fmt.Errorf("libpcap: %s: %s", l.name, unix.ByteSliceToString(errbuf[:]))
	}
	defer lib.close(p)
	lib.setSnaplen(p, int32(snaplen))
	const smallBuffer = 64 << 10 // no packet is read of it
	lib.setBuffer(p, smallBuffer)
	if code := lib.activate(p); code < 0 {
		return nil, fmt.Errorf("libpcap: %s: %s: %s", l.name, lib.statustostr(code), lib.geterr(p))
	}
	if got := uint32(lib.datalink(p)); got != dltOf(l.linkType) {
		return nil, fmt.Errorf("libpcap: packets of %s are of type %d for it, not %d", l.name, got, dltOf(l.linkType))
	}
	code, err := lib.compileOn(p, filter)
	if err != nil || !l.cooked {
		return code, err
	}
	return code, uncook(code)
}

// checkFilter says what is wrong with a filter when there is no interface to compile it
// for. Filters that need one (inbound, ifindex) are wrong here.
func checkFilter(filter string) error {
	if strings.TrimSpace(filter) == "" {
		return nil
	}
	lib, err := loadLibpcap()
	if err != nil {
		return err
	}
	lib.mu.Lock()
	defer lib.mu.Unlock()
	p := lib.openDead(int32(packet.LinkEthernet), minSnaplen)
	if p == 0 {
		return errors.New("libpcap: pcap_open_dead: no memory")
	}
	defer lib.close(p)
	_, err = lib.compileOn(p, filter)
	return err
}

func (lib *libpcap) compileOn(p uintptr, filter string) ([]unix.SockFilter, error) {
	if strings.ContainsRune(filter, 0) {
		return nil, fmt.Errorf("%w %q has a zero byte", errFilter, filter)
	}
	var prog bpfProgram
	if lib.compile(p, &prog, filter, 1, pcapNetmaskUnknown) != 0 {
		return nil, fmt.Errorf("%w %q: libpcap: %s", errFilter, filter, lib.geterr(p))
	}
	defer lib.freecode(&prog)
	if prog.n > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("%w %q: %d instructions, the kernel takes %d", errFilter, filter, prog.n, unix.BPF_MAXINSNS)
	}
	return append([]unix.SockFilter(nil), unsafe.Slice(prog.insns, prog.n)...), nil //nolint:gosec // as long as libpcap says
}

// uncook makes a program for packets with a cooked header one for packets without, as
// the kernel has them: what the header would hold is asked of the kernel.
func uncook(code []unix.SockFilter) error {
	for i := range code {
		c := &code[i]
		class, mode := c.Code&0x07, c.Code&0xe0
		absolute := class == unix.BPF_LD && (mode == unix.BPF_ABS || mode == unix.BPF_IND) || class == unix.BPF_LDX && mode == unix.BPF_MSH
		if !absolute || int32(c.K) < 0 {
			continue
		}
		ancillary := int64(skfAdOff)
		switch {
		case c.K >= sllLen:
			c.K -= sllLen
			continue
		case c.K == 0 && mode == unix.BPF_ABS:
			ancillary += skfAdPktType
		case c.K == 14 && mode == unix.BPF_ABS:
			ancillary += skfAdProtocol
		default:
			return fmt.Errorf("%w: it looks at byte %d of a cooked header, which the kernel does not have", errFilter, c.K)
		}
		c.K = uint32(ancillary)
	}
	return nil
}

// dltOf returns the number that libpcap has for a link type on Linux: it is another for
// raw IP only.
func dltOf(linkType uint32) uint32 {
	if linkType == packet.LinkRaw {
		return packet.LinkRawBSD
	}
	return linkType
}
