// Package geo tells the country and the autonomous system of an address from
// files in MaxMind's format (mmdb). A country file is in the binary.
//
// It reads the records of MaxMind's and DB-IP's country and ASN files, of the
// ip-location-db files and of IPinfo's. It knows nothing of sessions.
package geo

import (
	_ "embed" // for the country file
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/oschwald/maxminddb-golang/v2"
)

// Config names the files. Start from DefaultConfig.
type Config struct {
	CountryFile string `koanf:"country_file" help:"mmdb file with the country of an address; \"builtin\" for the one in the binary, \"none\" for no countries"`
	ASNFile     string `koanf:"asn_file" help:"mmdb file with the autonomous system of an address; empty for none"`
}

// Values of Config.CountryFile that are no paths.
const (
	builtin = "builtin"
	none    = "none"
)

// DefaultConfig has the country file in the binary and no ASN file.
func DefaultConfig() Config { return Config{CountryFile: builtin} }

// Validate reports every bad field. Whether the files are good, Open says.
func (c Config) Validate() error {
	if c.CountryFile == "" {
		return errors.New(`country_file: is empty: name a file, "builtin" or "none"`)
	}
	return nil
}

// maxBuiltinBytes bounds the decompressed country file.
const maxBuiltinBytes = 64 << 20

//go:embed data/country.mmdb.zst
var builtinCountry []byte //nolint:gochecknoglobals // go:embed needs one; never written

// DB looks addresses up. It may be used by many goroutines at once. A nil *DB
// knows nothing.
type DB struct {
	country *table[string]
	asn     *table[autonomousSystem]
}

type autonomousSystem struct {
	number uint32
	org    string
}

// Open opens the files of the configuration, which stay mapped into memory until
// Close: one that is replaced by renaming is read until then.
func Open(c Config) (*DB, error) {
	db := &DB{}
	var r *maxminddb.Reader
	var err error
	switch c.CountryFile {
	case none:
	case builtin:
		r, err = openBuiltin()
	default:
		r, err = maxminddb.Open(c.CountryFile)
	}
	if err != nil {
		return nil, fmt.Errorf("country file %q: %w", c.CountryFile, err)
	}
	if r != nil {
		db.country = newTable(r, decodeCountry)
	}
	if c.ASNFile != "" {
		r, err := maxminddb.Open(c.ASNFile)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("ASN file %q: %w", c.ASNFile, err), db.Close())
		}
		db.asn = newTable(r, decodeASN)
	}
	return db, nil
}

func openBuiltin() (*maxminddb.Reader, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBuiltinBytes))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	b, err := dec.DecodeAll(builtinCountry, nil)
	if err != nil {
		return nil, err
	}
	return maxminddb.OpenBytes(b)
}

// Close unmaps the files. The strings that were returned stay valid.
func (db *DB) Close() error {
	if db == nil {
		return nil
	}
	return errors.Join(db.country.close(), db.asn.close())
}

// Country returns the ISO 3166-1 alpha-2 code of the address's country ("NL"), or
// "" when it is not known, as for private addresses.
func (db *DB) Country(addr netip.Addr) string {
	if db == nil {
		return ""
	}
	code, _ := db.country.lookup(addr)
	return code
}

// ASN returns the number of the autonomous system that announces the address and
// the organization behind it, which may be empty. ok is false when it is not
// known, or no file is configured.
func (db *DB) ASN(addr netip.Addr) (number uint32, org string, ok bool) {
	if db == nil {
		return 0, "", false
	}
	as, ok := db.asn.lookup(addr)
	return as.number, as.org, ok
}

// decodeCountry reads the code of a record. Its layouts are {"country":
// {"iso_code": "NL"}} of MaxMind and DB-IP, {"country_code": "NL"} of
// ip-location-db and IPinfo Lite, and {"country": "NL"} of IPinfo.
func decodeCountry(r maxminddb.Result) (string, bool) {
	for _, path := range [][]any{{"country", "iso_code"}, {"country_code"}, {"country"}} {
		var code string
		if err := r.DecodePath(&code, path...); err == nil && isCountryCode(code) {
			return code, true
		}
	}
	return "", false
}

func isCountryCode(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// decodeASN reads {"autonomous_system_number": 1103, "autonomous_system_organization":
// "SURF"} of MaxMind, DB-IP and ip-location-db, and {"asn": "AS1103", "as_name": …}
// or {"asn": …, "name": …} of IPinfo.
func decodeASN(r maxminddb.Result) (as autonomousSystem, ok bool) {
	if err := r.DecodePath(&as.number, "autonomous_system_number"); err == nil && as.number != 0 {
		if err := r.DecodePath(&as.org, "autonomous_system_organization"); err != nil {
			as.org = "" // a number without a name is worth having
		}
		return as, true
	}
	var text string
	if err := r.DecodePath(&text, "asn"); err != nil {
		return autonomousSystem{}, false
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(text, "AS"), 10, 32)
	if err != nil || number == 0 {
		return autonomousSystem{}, false
	}
	as.number = uint32(number)
	for _, name := range []string{"as_name", "name"} {
		if err := r.DecodePath(&as.org, name); err == nil && as.org != "" {
			break
		}
	}
	return as, true
}
