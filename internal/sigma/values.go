package sigma

import (
	"net/netip"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// plain converts a value of a field that holds what the log's field does.
func (c *converter) plain(name string, m modifiers, p pattern, v *yaml.Node) (comparison, error) {
	if name == "dns.query.host" && strings.Contains(strings.ToLower(v.Value), "xn--") {
		name = "dns.puny" // where names that are shown in Unicode are as they were sent
	}
	fields := c.reg.ByExpr(name)
	if len(fields) == 0 {
		return comparison{}, fail(v, "no dissector declares %s", name)
	}
	f := fields[0]
	sign, order := orders(m.match)
	switch {
	case f.Type == spi.Integer:
		n, err := number(f, m, v)
		return comparison{name, sign, n}, err
	case order:
		return comparison{}, fail(v, "%s is no number: the modifier %s cannot be converted", name, m.match)
	case f.Type == spi.IP:
		a, err := address(m, p, v)
		return comparison{name, "==", a}, err
	case m.match == "cidr":
		return comparison{}, fail(v, "%s is no address: the modifier cidr cannot be converted", name)
	}
	folded := f.Type != spi.Term
	if m.match == "re" {
		text, err := convertRegexp(v.Value, m.flags, folded)
		if err != nil {
			return comparison{}, fail(v, "%v", err)
		}
		return comparison{name, "==", text}, nil
	}
	switch {
	case len(p) == 1 && p[0] == star():
		return comparison{name, "==", "EXISTS!"}, nil
	case m.cased && folded:
		return comparison{}, fail(v, "%s is stored in one case: the modifier cased cannot be converted", name)
	case strings.HasPrefix(name, "host.") && p.contains("/"):
		return comparison{}, fail(v, "%s holds names of hosts, without a scheme or path", name)
	}
	text, err := textValue(p, !folded && !m.cased, v)
	return comparison{name, "==", text}, err
}

// textValue writes a pattern, which Sigma compares in any case.
func textValue(p pattern, anyCase bool, v *yaml.Node) (string, error) {
	if anyCase && p.otherLetters() {
		return "", fail(v, "%s has letters beyond A to Z, which cannot be compared in any case here: write |cased", expr.Quote(v.Value))
	}
	return p.value(anyCase), nil
}

// number converts a whole number, or the name of an IP protocol.
func number(f *spi.Field, m modifiers, v *yaml.Node) (string, error) {
	if _, order := orders(m.match); m.match != "" && !order || m.cased {
		return "", fail(v, "the field holds numbers: the modifier %s cannot be converted", modifierName(m))
	}
	if _, isName := expr.ProtocolNumber(v.Value); isName && f.ID == spi.IPProtocol && m.match == "" {
		return strings.ToLower(v.Value), nil
	}
	n, err := strconv.ParseUint(v.Value, 10, 63)
	if err != nil {
		return "", fail(v, "%s is no whole number", expr.Quote(v.Value))
	}
	return strconv.FormatUint(n, 10), nil
}

// address converts an address or prefix, or the first octets of an IPv4 address, up to a dot and with a * behind.
func address(m modifiers, p pattern, v *yaml.Node) (string, error) {
	text, whole := p.literal()
	if m.match == "cidr" {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(v.Value))
		if err != nil {
			return "", fail(v, "%s is no prefix such as 10.0.0.0/8", expr.Quote(v.Value))
		}
		return prefix.Masked().String(), nil
	}
	if m.match == "re" {
		return "", fail(v, "the field holds addresses, which regular expressions do not apply to")
	}
	if whole {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			return a.String(), nil
		}
		return "", fail(v, "%s is no address", expr.Quote(v.Value))
	}
	if first, ok := p.begins(); ok && len(p) == 2 && p[1] == star() && strings.HasSuffix(first, ".") {
		octets := strings.Split(strings.TrimSuffix(first, "."), ".")
		padded := strings.Join(append(octets, "0", "0", "0")[:min(4, len(octets)+3)], ".")
		if a, err := netip.ParseAddr(padded); err == nil && a.Is4() && len(octets) < 4 {
			return netip.PrefixFrom(a, 8*len(octets)).Masked().String(), nil
		}
	}
	return "", fail(v, "%s is no address, prefix or beginning of one that ends in a dot", expr.Quote(v.Value))
}

// spelling is how a session holds what a log has in another form.
type spelling int

const (
	same      spelling = iota
	uri                // the whole URI: sessions have it with the host before the path, and without a scheme
	query              // the part behind the ?, which sessions have in the URI
	extension          // what follows the last dot of the path
	serial             // a serial number in hexadecimal, which sessions have in lower case and whole bytes
)

func (s spelling) String() string {
	return [...]string{"a value", "a URI", "a query", "an extension", "a serial number"}[s]
}

// spelled converts a value of a field that sessions hold in another form.
func (c *converter) spelled(t target, m modifiers, p pattern, v *yaml.Node) ([]comparison, error) {
	name := t.names[0]
	if _, order := orders(m.match); order || m.match == "cidr" {
		return nil, fail(v, "%s is no number or address: the modifier %s cannot be converted", t.spelling, m.match)
	}
	one := func(name, value string, err error) ([]comparison, error) {
		return []comparison{{name, "==", value}}, err
	}
	if m.match == "re" {
		if t.spelling != uri && t.spelling != query || strings.HasPrefix(v.Value, "^") || strings.Contains(v.Value, "|^") || strings.Contains(v.Value, "(^") {
			return nil, fail(v, "a regular expression for the beginning of %s cannot be converted, since sessions have it in another form", t.spelling)
		}
		text, err := convertRegexp(v.Value, m.flags, false)
		if err != nil {
			return nil, fail(v, "%v", err)
		}
		return one(name, text, nil)
	}
	first, begins := p.begins()
	switch {
	case t.spelling == serial:
		text, whole := p.literal()
		if !whole || m.cased || strings.Trim(strings.ToLower(text), "0123456789abcdef") != "" {
			return nil, fail(v, "a serial number can only be compared as a whole, in hexadecimal")
		}
		return one(name, strings.Repeat("0", len(text)%2)+strings.ToLower(text), nil)
	case t.spelling == extension:
		if !begins {
			return nil, fail(v, "the beginning of an extension must be given")
		}
		before := pattern{star(), {".", false}}
		for _, token := range p {
			before = before.add(token)
		}
		p = before
	case len(p) == 1 && p[0] == star():
		if t.spelling == query {
			return one(name, `/.*\?.*/`, nil)
		}
		return one(name, "EXISTS!", nil)
	case begins && strings.HasPrefix(first, "/"):
		// A path: its host, which comes before it, may be any.
		if len(p) == 2 && p[1] == star() && !strings.Contains(first, "?") {
			name = "http.uri.path"
			break
		}
		return c.behind(name, `[^\/]*`, p, m, v)
	case begins && t.spelling == query:
		return c.behind(name, `[^?]*\?`, p, m, v)
	case begins:
		scheme, rest, found := strings.Cut(first, "://")
		if found && !strings.ContainsAny(scheme, "/?") {
			if lower := strings.ToLower(scheme); lower != "http" && lower != "https" || rest == "" {
				return nil, fail(v, "sessions have URIs without a scheme")
			}
			p = append(pattern{{rest, false}}, p[1:]...)
		}
	}
	text, err := textValue(p, !m.cased, v)
	return one(name, text, err)
}

// behind compares what stands behind a regular expression.
func (c *converter) behind(name, prefix string, p pattern, m modifiers, v *yaml.Node) ([]comparison, error) {
	if _, err := textValue(p, !m.cased, v); err != nil {
		return nil, err
	}
	return []comparison{{name, "==", p.regexp(prefix, !m.cased)}}, nil
}
