package query

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"wirelake/internal/expr/exprtest"
)

func TestLink(t *testing.T) {
	reg := exprtest.Registry()
	now := time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	const both = "ip.src == 10.0.0.1 && port.src == 1000 && ip.dst == 8.8.8.8 && port.dst == 53"
	const back = "ip.dst == 10.0.0.1 && port.dst == 1000 && ip.src == 8.8.8.8 && port.src == 53"
	for _, c := range []struct{ name, query, expression, start, stop string }{
		{"a whole record", "src=10.0.0.1&dst=8.8.8.8&sport=1000&dport=53&proto=17&start=1709294400&end=1709294460",
			"((" + both + ") || (" + back + ")) && ip.protocol == 17", "1709294340", "1709294520"},
		{"milliseconds", "src=10.0.0.1&start=1709294400500&end=1709294460500", "((ip.src == 10.0.0.1) || (ip.dst == 10.0.0.1))", "1709294340", "1709294521"},
		{"ISO 8601 with a zone", "dport=53&start=2024-03-01T13:00:00%2B01:00&end=2024-03-01T12:01:00Z", "((port.dst == 53) || (port.src == 53))", "1709294340", "1709294520"},
		{"a plus that was not escaped", "start=2024-03-01T13:00:00+01:00&end=2024-03-01T12:01:00Z", "", "1709294340", "1709294520"},
		{"fractions of seconds", "start=1709294400.250&end=1709294460.750", "", "1709294340", "1709294521"},
		{"one time", "start=1709294400", "", "1709294340", "1709294460"},
		{"a name of a protocol", "proto=TCP", "ip.protocol == tcp", "", ""},
		{"ICMP has no ports", "src=10.0.0.1&dst=8.8.8.8&sport=0&dport=2048&proto=icmp",
			"((ip.src == 10.0.0.1 && ip.dst == 8.8.8.8) || (ip.dst == 10.0.0.1 && ip.src == 8.8.8.8)) && ip.protocol == icmp", "", ""},
		{"IPv6, and mapped IPv4", "src=2001:DB8::1&dst=::ffff:8.8.8.8", "((ip.src == 2001:db8::1 && ip.dst == 8.8.8.8) || (ip.dst == 2001:db8::1 && ip.src == 8.8.8.8))", "", ""},
		{"nothing is anything", "", "", "", ""},
		{"unknown parameters are left alone", "src=10.0.0.1&exporter=x", "((ip.src == 10.0.0.1) || (ip.dst == 10.0.0.1))", "", ""},
	} {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		target, err := linkTarget(q, now)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		got := u.Query()
		if u.Path != "/sessions" || got.Get("bounding") != "either" || got.Get("expression") != c.expression || got.Get("startTime") != c.start || got.Get("stopTime") != c.stop {
			t.Errorf("%s: got %s %v", c.name, u.Path, got)
		}
		if c.start == "" && got.Get("date") != "-1" {
			t.Errorf("%s: without times all of the archive is meant, got %v", c.name, got)
		}
		parse(t, reg, got.Get("expression"))
	}
	for query, name := range map[string]string{
		"src=10.0.0": "src", "dst=host.example": "dst", "sport=65536": "sport", "dport=-1": "dport", "dport=http": "dport", "proto=300": "proto", "proto=xyz": "proto",
		"start=yesterday": "start", "end=2024-13-01": "end", "start=1709294460&end=1709294400": "start", "src=10.0.0.1&src=10.0.0.2": "src",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = linkTarget(q, now)
		if err == nil || statusOf(err) != 400 || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: got %v, want a 400 that names %s", query, err, name)
		}
	}
}

// FuzzLink holds that every link is refused by name, or leads to an expression and times that can be read.
func FuzzLink(f *testing.F) {
	f.Add("10.0.0.1", "::ffff:8.8.8.8", "1", "65535", "tcp", "1709294400", "2024-03-01T13:00:00 01:00")
	f.Add("fe80::1%eth0", "x", "-1", "", "300", "1e9", "now")
	reg := exprtest.Registry()
	now := exprtest.Now()
	f.Fuzz(func(t *testing.T, src, dst, sport, dport, proto, start, end string) {
		target, err := linkTarget(url.Values{"src": {src}, "dst": {dst}, "sport": {sport}, "dport": {dport}, "proto": {proto}, "start": {start}, "end": {end}}, now)
		if err != nil {
			name, _, _ := strings.Cut(err.Error(), ":")
			if statusOf(err) != 400 || !strings.Contains(" src dst sport dport proto start end ", " "+name+" ") {
				t.Fatalf("error %v", err)
			}
			return
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		p := &params{Values: u.Query()}
		if _, err := p.window(now); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		if _, err := p.expression(reg, now); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
	})
}
