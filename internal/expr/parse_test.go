package expr_test

import (
	"errors"
	"strings"
	"testing"

	"wirelake/internal/expr"
	"wirelake/internal/expr/exprtest"
)

func TestErrors(t *testing.T) {
	reg := exprtest.Registry()
	for _, c := range []struct {
		text           string
		column, length int
		message        string // a part of it
		suggestion     string
	}{
		{"ip.srd == 1.2.3.4", 1, 6, "unknown field ip.srd", "ip.src"},
		{"tags == ü", 9, 1, "needs double quotes", `"ü"`},
		{`tags == "ü" && prot.dst == 4`, 16, 8, "unknown field", "port.dst"},
		{"source.ip == 10", 1, 9, "unknown field", "ip.src"},
		{"packetRange.gte == 10", 1, 15, "unknown field", "db:packetRange.gte"},
		{"utterlyunlike == 10", 1, 13, "unknown field", ""},
		{"ip.src", 7, 0, "expected an operator such as == after ip.src", ""},
		{"ip.src 10", 8, 2, "expected an operator", ""},
		{"ip.src ==", 10, 0, "expected a value for ip.src", ""},
		{"ip.src == &&", 11, 1, "expected a value for ip.src", ""},
		{"== 10", 1, 1, "expected a field name", ""},
		{"ip.src == 10 &&", 16, 0, "expected a field name at the end", ""},
		{"ip.src == 10 port == 5", 14, 4, "expected && or ||", ""},
		{"(ip.src == 10", 1, 1, "this parenthesis is not closed", ""},
		{"ip.src == 10)", 13, 1, "this parenthesis closes nothing", ""},
		{"(ip.src == 10 port == 5)", 15, 4, "expected && or || or )", ""},
		{`tags == "a`, 9, 1, "this quote is not closed", ""},
		{"tags == [a", 9, 1, "this list is not closed by ]", ""},
		{"tags == ]a", 9, 1, "this list is not closed by [", ""},
		{"tags == []", 9, 2, "this list is empty", ""},
		{"tags == [a,,b]", 12, 1, "expected a value in the list", ""},
		{`tags == ["a" b]`, 14, 1, "expected a comma or ]", ""},
		{"tags == a=b", 9, 3, "needs double quotes", `"a=b"`},
		{"tags == *", 9, 1, "matches anything", "tags == EXISTS!"},
		{"tags < a", 8, 1, "has no order", ""},
		{"tags == $evil", 9, 5, "shortcuts are not supported yet", ""},
		{"tags == [a,$evil]", 12, 5, "shortcuts are not supported yet", ""},
		{"view == mine", 1, 4, "views are not supported yet", ""},
		{"tags < [a,b]", 6, 1, "compares with one value", ""},
		{"tags < EXISTS!", 6, 1, "compares with one value", ""},
		{"ip.src == 10.0.0.256", 11, 10, "is not an address", ""},
		{"ip.src == 1.2.3.4/33", 11, 10, "is not an address", ""},
		{"ip.src == 1.2.3.4:99999", 11, 13, "no port from 0 to 65535", ""},
		{"ip.src == fe80::1%eth0", 11, 12, "needs double quotes", `"fe80::1%eth0"`},
		{`ip.src == "fe80::1%eth0"`, 11, 14, "is not an address", ""},
		{"ip.src == 10*", 11, 3, "wildcards do not apply", ""},
		{"ip.src == *", 11, 1, "matches anything", "ip.src == EXISTS!"},
		{"ip.src == /10.*/", 11, 6, "regular expressions do not apply", ""},
		{"ip.src > 1.2.3.4:80", 10, 10, "a port can only be given to == and !=", ""},
		{"ip.xff == 1.2.3.4:80", 11, 10, "ip.xff has no port", ""},
		{"port == abc", 9, 3, "not a whole number", ""},
		{"port == 1.5", 9, 3, "not a whole number", ""},
		{"port == 10-5", 9, 4, "begins above its end", ""},
		{"port > 5-10", 8, 4, "not with the range", ""},
		{"port == 99999999999999999999", 9, 20, "not a whole number", ""},
		{"port == 8*", 9, 2, "wildcards do not apply", ""},
		{"ip.protocol == tpc", 16, 3, "no protocol number", ""},
		{"starttime > yesterday", 13, 9, "is not a time", ""},
		{`starttime > "2024/13/01"`, 13, 12, "is not a time", ""},
		{"starttime > -1x", 13, 3, "is not a time", ""},
		{"starttime == /2.*/", 14, 5, "regular expressions do not apply", ""},
		{"tags == /a(b/", 9, 5, "parenthesis at character 2 is not closed", ""},
		{"tags == /a~b/", 9, 5, "not supported", ""},
		{"tags == /<1-5>/", 9, 7, "not supported", ""},
		{"tags == /a{2000}/", 9, 9, "more than 1000 times", ""},
		{"tags == /a{x}/", 9, 6, "no repetition", ""},
		{"tags == /*a/", 9, 4, "nothing before it", ""},
		{"tags == /[a/", 9, 4, "is not closed", ""},
		{"tags == /a||b/", 9, 6, "nothing stands before", ""},
		{"tags == /((((a{1000}){1000}){1000}){1000})/", 9, 35, "regular expression", ""},
		{"payload8 == /47.*/", 13, 6, "payload8.hex", ""},
		{`payload8 == "get *"i`, 13, 8, "compared as they are", ""},
		{`tags == "a"if`, 12, 2, "expected && or ||", ""},
		{"tags == \xff", 9, 1, "not UTF-8", ""},
		{strings.Repeat("(", 200) + "tags == a", 101, 1, "more than 100 parentheses", ""},
		{strings.Repeat("!", 200) + "tags == a", 101, 1, "more than 100 parentheses", ""},
		{strings.Repeat(" ", 1<<20) + "tags == a", 1, 0, "longer than 1 MiB", ""},
	} {
		_, err := expr.Parse(c.text, reg, exprtest.Now())
		var e *expr.Error
		if !errors.As(err, &e) {
			t.Errorf("%.60s: got %v, want an *expr.Error", c.text, err)
			continue
		}
		if e.Column != c.column || e.Length != c.length || !strings.Contains(e.Message, c.message) || e.Suggestion != c.suggestion {
			t.Errorf("%.60s:\n got column %d length %d %q suggestion %q\nwant column %d length %d %q suggestion %q",
				c.text, e.Column, e.Length, e.Message, e.Suggestion, c.column, c.length, c.message, c.suggestion)
		}
	}
}

func TestMatch(t *testing.T) {
	reg := exprtest.Registry()
	doc, _, err := reg.ParseJSON([]byte(`{
		"source":{"ip":"10.1.2.3","port":40000,"mac":["00:19:06:e6:82:c4"],"geo":{"country_iso_code":"US"}},
		"destination":{"ip":"2001:db8::1","port":443},
		"firstPacket":1709294400500,"lastPacket":1709294460000,"ipProtocol":6,
		"tags":["one","two words","st*r","a?"],"srcPayload8":"474554202f206874","vlan":null,
		"network":{"bytes":1000,"vlan":{"id":[100,200]}},
		"http":{"uri":["www.example.org/a"],"statuscode":[200,404]},
		"dns":[{"host":["a.example.org"],"ip":["192.0.2.1","192.0.2.2"],"answers":[{"ip":"192.0.2.1","ttl":5},{"ip":"192.0.2.2","ttl":50}]},{"host":["b.example.org"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"":                                         true,
		"ip.src == 10.1":                           true,
		"ip.src == 10.2":                           false,
		"ip == 192.0.2.2":                          true,
		"ip.dst == 2001:db8::1.443":                true,
		"ip.dst == 2001:db8::1.80":                 false,
		"ip == :443":                               true,
		"ip == 10.1.2.3:443":                       false, // its port is 40000
		"ip == ]10,192.0.2.1[":                     true,
		"ip == ]10,192.0.2.9[":                     false,
		"ip.src < 2001:db8::1":                     false, // orders only within a family
		"ip.dst == ipv6":                           true,
		"ip.dst == ::/0":                           true,
		"ip.src == ::/0":                           false,
		"ip.src == ::ffff:10.1.2.3":                true,
		"vlan != 100":                              false, // one of its values matches
		"vlan != 300":                              true,
		"vlan == ]100,200[":                        true,
		`http.uri == "WWW.Example.ORG/A"i`:         true,
		`http.uri == "WWW.Example.ORG/A"`:          false,
		`http.uri == "*.ORG/?"i`:                   true,
		`http.uri == "*.ORG/??"i`:                  false,
		`http.uri == ["x","WWW.*"i]`:               true,
		`http.uri == ]"*.ORG*"i,"*Example*"[`:      false, // the second is not for any case
		`tags == "A?"i`:                            true,  // without a star it is a ?
		`tags == "AB"i`:                            false,
		`country.src == "us"i && ip.src == "10"i`:  true, // stored in one case, or without letters
		"http.statuscode == ]200,404[":             true,
		"http.statuscode == ]200,500[":             false,
		"port == [1-3,5]":                          false,
		"port.dst == [1-3,443]":                    true,
		"bytes == 999-1001":                        true,
		"tags == st*r":                             true, // the star is a wildcard
		"tags == a?":                               true, // no star: the mark is itself
		"tags == o?e":                              false,
		"tags == o?e*":                             true,
		"tags == \"two words\"":                    true,
		"tags == two*":                             true,
		"tags == TWO*":                             false,
		"tags == /one|two.*/":                      true,
		"tags == /on/":                             false, // anchored
		"host == *.EXAMPLE.org":                    true,
		"host == ]a.example.org,b.example.org[":    true,
		"host == \"https://a.example.org/x/y\"":    true,
		"http.uri == https://www.example.org/a":    true,
		"mac == 00-19-06-E6-82-C4":                 true,
		"country == us":                            true,
		"payload8 == \"GET *\"":                    true,
		"payload8.src == \"GET / ht\"":             true,
		"payload8.dst == EXISTS!":                  false,
		"user == EXISTS!":                          false,
		"user != EXISTS!":                          true,
		"user != root":                             true, // a missing field is not equal
		"ip.protocol == tcp":                       true,
		"starttime == \"2024-03-01T12:00:00Z\"":    true, // the whole second
		"starttime > \"2024-03-01T12:00:00Z\"":     true,
		"starttime == 1709294400499":               false,
		"!vlan == 100 || bytes == 1000":            true, // ! binds to the next term only
		"vlan == 300 && bytes == 1 || vlan == 100": true, // && binds tighter
		"vlan == 100 || vlan == 300 && bytes == 1": true,
	} {
		e, err := expr.Parse(text, reg, exprtest.Now())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.Match(doc); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

// TestPruning holds that what leaves tell engines for skipping never hides a match.
func TestPruning(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 500)
	for _, text := range exprtest.Expressions() {
		e, err := expr.Parse(text, reg, exprtest.Now())
		if err != nil {
			t.Fatal(err)
		}
		expr.Walk(e.Root, func(n expr.Node) {
			l, ok := n.(*expr.Leaf)
			if !ok {
				return
			}
			strs, onlyStrs := l.ExactStrings()
			ints, onlyInts := l.ExactInts()
			for _, d := range docs {
				for v := range d.Each(l.Field.ID) {
					if l.Field.Type.Numeric() {
						if l.MatchInt(v.Int) && (!l.MayMatchInts(v.Int, v.Int) || !l.MayMatchInts(v.Int-1, v.Int+5)) {
							t.Fatalf("%s matches %d, but not by its bounds", text, v.Int)
						}
						if onlyInts && l.MatchInt(v.Int) != containsInt(ints, v.Int) {
							t.Fatalf("%s: exact values %v, match of %d %v", text, ints, v.Int, l.MatchInt(v.Int))
						}
						continue
					}
					if l.MatchString(v.Str) && (!l.MayMatchStrings(v.Str, v.Str) || !l.MayMatchStrings("", v.Str+"x")) {
						t.Fatalf("%s matches %q, but not by its bounds", text, v.Str)
					}
					if onlyStrs && l.MatchString(v.Str) != containsString(strs, v.Str) {
						t.Fatalf("%s: exact values %q, match of %q %v", text, strs, v.Str, l.MatchString(v.Str))
					}
				}
			}
		})
	}
}

func containsInt(s []int64, n int64) bool {
	for _, v := range s {
		if v == n {
			return true
		}
	}
	return false
}

func containsString(s []string, n string) bool {
	for _, v := range s {
		if v == n {
			return true
		}
	}
	return false
}

func TestUsesOnlyHot(t *testing.T) {
	reg := exprtest.Registry()
	for text, want := range map[string]bool{
		"": true, "ip.src == 10": true, "http.user-agent == x": false, "ip.src == 10 && !(tags == a || lane == b)": false,
		"id == a": true, "id == a*": false, // Elasticsearch compares ids only whole
	} {
		e, err := expr.Parse(text, reg, exprtest.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := e.UsesOnlyHot(); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range exprtest.Expressions() {
		f.Add(text)
	}
	for _, text := range []string{"tags == /a\\/b[/]/", "tags == [/a,b/,\\,]", "a ==", "!!(((", "tags == /\xff/", "starttime == -9999999999999y@w6", "ip.src == [::1.80,:]"} {
		f.Add(text)
	}
	reg := exprtest.Registry()
	doc := exprtest.Documents(reg, 1)[0]
	f.Fuzz(func(t *testing.T, text string) {
		e, err := expr.Parse(text, reg, exprtest.Now())
		if err != nil {
			var e *expr.Error
			if !errors.As(err, &e) || e.Column < 1 || e.Column+e.Length > len(text)+2 || e.Message == "" {
				t.Fatalf("%q: error %#v", text, err)
			}
			return
		}
		again, err := expr.Parse(e.String(), reg, exprtest.Now())
		if err != nil {
			t.Fatalf("%q: printed as %q: %v", text, e, err)
		}
		if again.String() != e.String() {
			t.Fatalf("%q: printed as %q, then as %q", text, e, again)
		}
		if e.Match(doc) != again.Match(doc) {
			t.Fatalf("%q and %q do not mean the same", text, e)
		}
		if len(e.Elastic()) != 1 {
			t.Fatalf("%q: query %v", text, e.Elastic())
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 1000)
	e, err := expr.Parse(`ip.src == 10.0.0.0/8 && http.uri == "*login*" && bytes >= 1000`, reg, exprtest.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Match(docs[i%len(docs)])
	}
}

func BenchmarkParse(b *testing.B) {
	reg := exprtest.Registry()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := expr.Parse(`ip.src == 10.0.0.0/8 && http.uri == "*login*" && bytes >= 1000`, reg, exprtest.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
