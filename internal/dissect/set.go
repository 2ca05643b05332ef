package dissect

import (
	"fmt"

	"wirelake/internal/spi"
)

// Set is all dissectors and the registry of all fields. It does not change after
// New and may be shared between goroutines.
type Set struct {
	registry  *spi.Registry
	protocols []*Protocol
	byName    map[string]*Protocol
	index     [transports]index
}

// New builds the set of all protocols (protocols.go), with the registry that
// holds the core fields and those the protocols declare.
func New() *Set { return newSet(constructors()) }

func newSet(constructors []func(*spi.Registry) Protocol) *Set {
	set := &Set{registry: spi.NewRegistry(), byName: make(map[string]*Protocol)}
	for i := range set.index {
		set.index[i].byPort = make(map[uint16][]candidate)
		set.index[i].byNumber = make(map[uint32][]candidate)
	}
	for _, construct := range constructors {
		set.add(construct(set.registry))
	}
	for _, p := range append(marks(), networkMarks()...) {
		set.add(p)
	}
	set.registry.Freeze()
	return set
}

// add indexes a protocol. Names may occur twice only for marks, whose rows share a name.
func (set *Set) add(p Protocol) {
	if old := set.byName[p.Name]; old != nil && p.New != nil {
		panic(fmt.Sprintf("dissect: two parsers are named %s", p.Name)) // a mistake in the program, found by any test
	}
	proto := &p
	if set.byName[p.Name] == nil {
		set.byName[p.Name] = proto
	}
	set.protocols = append(set.protocols, proto)
	for i := range proto.Matchers {
		m := &proto.Matchers[i]
		set.index[m.On].add(candidate{m: m, proto: proto})
	}
}

// Registry returns the registry of all fields, frozen.
func (set *Set) Registry() *spi.Registry { return set.registry }

// Names returns the names of all protocols that are recognized by a matcher, in
// the order of their registration; a name may occur more than once.
func (set *Set) Names() []string {
	out := make([]string, len(set.protocols))
	for i, p := range set.protocols {
		out[i] = p.Name
	}
	return out
}
