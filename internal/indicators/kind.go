package indicators

import (
	"fmt"
	"slices"
	"strings"
)

// Kind restricts what the entries of a list are. The zero Kind takes all kinds, each entry by its looks.
type Kind string

// The kinds.
const (
	Any    Kind = ""
	IP     Kind = "ip"     // addresses and prefixes
	Domain Kind = "domain" // with their subdomains, or exactly after "="
	Hash   Kind = "hash"   // MD5, SHA-1 and SHA-256
	MD5    Kind = "md5"
	SHA1   Kind = "sha1"
	SHA256 Kind = "sha256"
	JA3    Kind = "ja3"
	JA3S   Kind = "ja3s"
	JA4    Kind = "ja4"
	HASSH  Kind = "hassh" // of clients and servers
)

func kinds() []Kind { return []Kind{IP, Domain, Hash, MD5, SHA1, SHA256, JA3, JA3S, JA4, HASSH} }

// ParseKind reads the name of a kind.
func ParseKind(s string) (Kind, error) {
	if k := Kind(s); slices.Contains(kinds(), k) {
		return k, nil
	}
	names := make([]string, len(kinds()))
	for i, k := range kinds() {
		names[i] = string(k)
	}
	return Any, fmt.Errorf("%q is none of %s", s, strings.Join(names, ", "))
}

// class tells entries of equal text apart. Each has hashes of its own.
type class uint8

const (
	classDomain class = iota // and its subdomains
	classExact               // this name only
	classHash                // of a file, body or certificate
	classHex32               // 32 hexadecimal digits that may be MD5, JA3, JA3S or HASSH
	classJA3
	classJA3S
	classJA4
	classHASSH
	classAddr // IPv4 and IPv6 prefixes
)

// classes is a set of classes.
type classes uint16

func (c classes) has(k class) bool { return c&(1<<k) != 0 }
