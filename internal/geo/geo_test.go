package geo

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

func openBuiltinDB(t testing.TB) *DB {
	t.Helper()
	db, err := Open(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestBuiltinCountries(t *testing.T) {
	db := openBuiltinDB(t)
	for _, c := range []struct{ addr, want string }{
		{"193.0.6.139", "NL"}, // ripe.net
		{"128.232.110.120", "GB"},
		{"8.8.8.8", "US"},
		{"::ffff:8.8.8.8", "US"}, // the same address, mapped
		{"130.59.31.80", "CH"},
		{"202.12.29.205", "AU"}, // apnic.net
		{"2001:4860:4860::8888", "US"},
		{"2001:67c:2e8:22::c100:68b", "NL"},
		{"10.1.2.3", ""},
		{"192.168.1.1", ""},
		{"172.16.0.1", ""},
		{"127.0.0.1", ""},
		{"169.254.1.1", ""},
		{"224.0.0.251", ""},
		{"255.255.255.255", ""},
		{"0.0.0.0", ""},
		{"::", ""},
		{"::1", ""},
		{"fe80::1", ""},
		{"fe80::1%eth0", ""},
		{"fd00::1", ""},
		{"ff02::fb", ""},
	} {
		if got := db.Country(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("country of %s: got %q, want %q", c.addr, got, c.want)
		}
	}
	if got := db.Country(netip.Addr{}); got != "" {
		t.Errorf("country of no address: got %q", got)
	}
	if _, _, ok := db.ASN(netip.MustParseAddr("8.8.8.8")); ok {
		t.Error("an ASN without a file")
	}
}

// TestBuiltinFile reads all of the file, so that none of it is damaged.
func TestBuiltinFile(t *testing.T) {
	db := openBuiltinDB(t)
	countries := map[string]int{}
	for r := range db.country.reader.Networks() {
		code, ok := decodeCountry(r)
		if !ok {
			t.Fatalf("the record of %s has no country", r.Prefix())
		}
		countries[code]++
	}
	if len(countries) < 200 || len(countries) > 260 {
		t.Errorf("%d countries", len(countries))
	}
}

func write(t *testing.T, networks map[string]map[string]any) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.mmdb")
	if err := os.WriteFile(path, mmdb(t, networks), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLayouts(t *testing.T) {
	country := write(t, map[string]map[string]any{
		"1.0.0.0/8":     {"country": map[string]any{"iso_code": "FR"}, "continent": map[string]any{"code": "EU"}},
		"2.0.0.0/8":     {"country_code": "DE"},
		"3.0.0.0/8":     {"country": "IT", "continent": "EU"},
		"4.0.0.0/8":     {"country": "Spain"},
		"5.0.0.0/8":     {"country_code": uint32(7)},
		"6.0.0.0/8":     {"city": "Paris"},
		"10.0.0.0/8":    {"country": "XX"},
		"2001:db8::/32": {"country": map[string]any{"iso_code": "PT"}},
	})
	asn := write(t, map[string]map[string]any{
		"1.0.0.0/8":     {"autonomous_system_number": uint32(3215), "autonomous_system_organization": "Orange"},
		"2.0.0.0/8":     {"autonomous_system_number": uint32(4200000000)},
		"3.0.0.0/8":     {"asn": "AS137", "as_name": "GARR"},
		"4.0.0.0/8":     {"asn": "AS766", "name": "RedIRIS"},
		"5.0.0.0/8":     {"asn": "ASx"},
		"6.0.0.0/8":     {"asn": "AS99999999999"},
		"2001:db8::/32": {"autonomous_system_number": uint32(1930), "autonomous_system_organization": "RCTS"},
	})
	db, err := Open(Config{CountryFile: country, ASNFile: asn})
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		country, org string
		number       uint32
	}
	for addr, want := range map[string]answer{
		"1.2.3.4":     {"FR", "Orange", 3215},
		"2.2.3.4":     {"DE", "", 4200000000},
		"3.2.3.4":     {"IT", "GARR", 137},
		"4.2.3.4":     {"", "RedIRIS", 766},
		"5.2.3.4":     {},
		"6.2.3.4":     {},
		"7.2.3.4":     {},
		"10.2.3.4":    {},
		"2001:db8::1": {"PT", "RCTS", 1930},
		"2001:db9::1": {},
	} {
		for range 2 { // decoded, and remembered
			var got answer
			got.country = db.Country(netip.MustParseAddr(addr))
			var ok bool
			got.number, got.org, ok = db.ASN(netip.MustParseAddr(addr))
			if got != want || ok != (want.number != 0) {
				t.Errorf("%s: got %+v, %v, want %+v", addr, got, ok, want)
			}
		}
	}
	fr := db.Country(netip.MustParseAddr("1.1.1.1"))
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if fr != "FR" {
		t.Errorf("a string changed with the file closed: %q", fr)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mmdb")
	if err := os.WriteFile(text, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{CountryFile: dir + "/missing.mmdb"}, `country file "` + dir + `/missing.mmdb": `},
		{Config{CountryFile: text}, `country file "` + text + `": `},
		{Config{CountryFile: builtin, ASNFile: text}, `ASN file "` + text + `": `},
	} {
		if _, err := Open(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("open %+v: got %v, want %q in it", c.cfg, err, c.want)
		}
	}
	if err := (Config{}).Validate(); err == nil || !strings.HasPrefix(err.Error(), "country_file: ") {
		t.Errorf("an empty configuration: %v", err)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestNothingConfigured(t *testing.T) {
	none, err := Open(Config{CountryFile: none})
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*DB{nil, none} {
		if got := db.Country(netip.MustParseAddr("8.8.8.8")); got != "" {
			t.Errorf("country is %q", got)
		}
		if _, _, ok := db.ASN(netip.MustParseAddr("8.8.8.8")); ok {
			t.Error("an ASN")
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	db := openBuiltinDB(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20000 {
				db.Country(netip.AddrFrom4([4]byte{byte(i >> 8), byte(i), byte(g), 1}))
			}
		})
	}
	wg.Wait()
}

// FuzzFile looks up in damaged files: nothing panics, and what is found is a code.
func FuzzFile(f *testing.F) {
	f.Add(mmdb(f, map[string]map[string]any{"1.0.0.0/8": {"country_code": "DE"}, "2001:db8::/32": {"asn": "AS1", "name": "x"}}), uint32(0x01020304))
	f.Add(mmdb(f, map[string]map[string]any{"8.0.0.0/7": {"country": map[string]any{"iso_code": "FR"}}}), uint32(0x08080808))
	f.Fuzz(func(t *testing.T, file []byte, addr uint32) {
		r, err := maxminddb.OpenBytes(file)
		if err != nil {
			return
		}
		db := &DB{country: newTable(r, decodeCountry), asn: newTable(r, decodeASN)}
		v4 := netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)})
		for _, a := range []netip.Addr{v4, netip.MustParseAddr("2001:db8::1")} {
			if code := db.Country(a); code != "" && !isCountryCode(code) {
				t.Errorf("country is %q", code)
			}
			if number, _, ok := db.ASN(a); ok && number == 0 {
				t.Error("AS 0")
			}
		}
	})
}

func BenchmarkCountry(b *testing.B) {
	db := openBuiltinDB(b)
	for _, c := range []struct {
		name  string
		addrs []netip.Addr
	}{
		{"IPv4", addrs4()},
		{"IPv6", []netip.Addr{netip.MustParseAddr("2001:4860:4860::8888"), netip.MustParseAddr("2001:67c:2e8:22::c100:68b")}},
		{"private", []netip.Addr{netip.MustParseAddr("10.1.2.3")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				db.Country(c.addrs[i%len(c.addrs)])
				i++
			}
		})
	}
}

// addrs4 are spread over the whole file, as the addresses of a busy link are.
func addrs4() []netip.Addr {
	list := make([]netip.Addr, 1<<16)
	for i := range list {
		x := uint32(i) * 2654435761
		list[i] = netip.AddrFrom4([4]byte{1 + byte(x>>24)%222, byte(x >> 16), byte(x >> 8), byte(x)})
	}
	return list
}

func BenchmarkOpenBuiltin(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(DefaultConfig()); err != nil {
			b.Fatal(err)
		}
	}
}
