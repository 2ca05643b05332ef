package query

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"wirelake/internal/expr"
)

// linkPadding is added before and after the flow's time: clocks of exporters differ from the sensors', and a flow
// record may end before the session does.
const linkPadding = time.Minute

// link answers /link?src=&dst=&sport=&dport=&proto=&start=&end=, what a NetFlow report knows of a flow, with a
// redirect to the sessions that it can be. Missing parts are any; either direction matches; times are seconds or
// milliseconds since 1970, or ISO 8601.
func (a *API) link(w http.ResponseWriter, r *http.Request) {
	target, err := linkTarget(r.URL.Query(), a.now())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	http.Redirect(w, r, target, http.StatusFound) //nolint:gosec // G710: it is a page of ours, and what was given is escaped into its query
}

// linkTarget returns the path and query of the sessions page.
func linkTarget(q url.Values, now time.Time) (string, error) {
	for name, values := range q {
		switch name {
		case "src", "dst", "sport", "dport", "proto", "start", "end":
			if len(values) > 1 {
				return "", badParam(name, "is given %d times", len(values))
			}
		}
	}
	expression, err := linkExpression(q)
	if err != nil {
		return "", err
	}
	target := url.Values{"bounding": {"either"}}
	if expression != "" {
		target.Set("expression", expression)
	}
	start, end, err := linkTimes(q, now)
	if err != nil {
		return "", err
	}
	switch {
	case start.IsZero() && end.IsZero():
		target.Set("date", "-1")
	default:
		target.Set("startTime", epoch(start.Add(-linkPadding)))
		// Rounded up: the last second counts whole.
		target.Set("stopTime", epoch(end.Add(linkPadding+time.Second-time.Nanosecond)))
	}
	return "/sessions?" + target.Encode(), nil
}

// epoch writes seconds since 1970, none before, with five digits at least: four are a year.
func epoch(t time.Time) string { return fmt.Sprintf("%05d", max(0, t.Unix())) }

// linkExpression writes the flow as an expression. With both ends known it names them in both directions; addresses and
// ports of one end stay together.
func linkExpression(q url.Values) (string, error) {
	src, err := linkAddr(q, "src")
	if err != nil {
		return "", err
	}
	dst, err := linkAddr(q, "dst")
	if err != nil {
		return "", err
	}
	sport, err := linkPort(q, "sport")
	if err != nil {
		return "", err
	}
	dport, err := linkPort(q, "dport")
	if err != nil {
		return "", err
	}
	proto := ""
	if v := q.Get("proto"); v != "" {
		if proto, err = linkProtocol(v); err != nil {
			return "", err
		}
	}
	if isICMP(proto) {
		sport, dport = "", "" // exporters put type and code there; sessions of ICMP have no ports
	}
	var parts []string
	forth := append(linkEnd("src", src, sport), linkEnd("dst", dst, dport)...)
	back := append(linkEnd("dst", src, sport), linkEnd("src", dst, dport)...)
	if len(forth) > 0 {
		parts = append(parts, "(("+strings.Join(forth, " && ")+") || ("+strings.Join(back, " && ")+"))")
	}
	if proto != "" {
		parts = append(parts, "ip.protocol == "+proto)
	}
	return strings.Join(parts, " && "), nil
}

func isICMP(proto string) bool {
	switch proto {
	case "1", "58", "icmp", "icmp6", "icmpv6":
		return true
	}
	return false
}

// linkEnd compares one end of a session.
func linkEnd(side, addr, port string) []string {
	var out []string
	if addr != "" {
		out = append(out, "ip."+side+" == "+addr)
	}
	if port != "" {
		out = append(out, "port."+side+" == "+port)
	}
	return out
}

func linkAddr(q url.Values, name string) (string, error) {
	v := strings.TrimSpace(q.Get(name))
	if v == "" {
		return "", nil
	}
	addr, err := netip.ParseAddr(v)
	if err != nil {
		return "", badParam(name, "%q is not an IP address", v)
	}
	return addr.Unmap().WithZone("").String(), nil
}

func linkPort(q url.Values, name string) (string, error) {
	v := strings.TrimSpace(q.Get(name))
	if v == "" {
		return "", nil
	}
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		return "", badParam(name, "%q is not a port from 0 to 65535", v)
	}
	return strconv.FormatUint(n, 10), nil
}

// linkProtocol reads a number or one of the names that the expression language knows.
func linkProtocol(v string) (string, error) {
	v = strings.ToLower(strings.TrimSpace(v))
	if n, err := strconv.ParseUint(v, 10, 8); err == nil {
		return strconv.FormatUint(n, 10), nil
	}
	if _, ok := expr.ProtocolNumber(v); ok {
		return v, nil
	}
	return "", badParam("proto", "%q is neither an IP protocol number nor a name such as tcp, udp or icmp", v)
}

// linkTimes reads the flow's times. One alone is both: a record of a single packet.
func linkTimes(q url.Values, now time.Time) (start, end time.Time, err error) {
	if start, err = linkTime(q, "start", now); err != nil {
		return start, end, err
	}
	if end, err = linkTime(q, "end", now); err != nil {
		return start, end, err
	}
	switch {
	case start.IsZero():
		start = end
	case end.IsZero():
		end = start
	case start.After(end):
		return start, end, badParam("start", "%s is after end, %s", q.Get("start"), q.Get("end"))
	}
	return start, end, nil
}

func linkTime(q url.Values, name string, now time.Time) (time.Time, error) {
	v := strings.TrimSpace(q.Get(name))
	if v == "" {
		return time.Time{}, nil
	}
	// A zone's plus arrives as a space when it was not escaped: 2024-01-01T00:00:00 02:00.
	if i := strings.LastIndexByte(v, ' '); i > 0 && strings.Contains(v, "T") {
		v = v[:i] + "+" + v[i+1:]
	}
	if seconds, err := strconv.ParseFloat(v, 64); err == nil && strings.Contains(v, ".") && seconds > 0 && seconds < 1e11 {
		return time.UnixMilli(int64(seconds * 1000)).UTC(), nil // nfdump writes fractions
	}
	at, _, ok := expr.ParseTime(v, now)
	if !ok {
		return time.Time{}, &badRequest{text: fmt.Sprintf("%s: %q is not a time: seconds or milliseconds since 1970, or ISO 8601", name, v)}
	}
	return at, nil
}
