package dissect

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	"wirelake/internal/spi"
)

// certificate returns a certificate of the template, signed by an issuer of that name or, with nil, by itself.
func certificate(t *testing.T, template *x509.Certificate, issuer *pkix.Name, key crypto.Signer) []byte {
	t.Helper()
	parent := template
	if issuer != nil {
		parent = &x509.Certificate{Subject: *issuer, SerialNumber: big.NewInt(1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestCertificate reads certificates with every key, name and time that RFC 5280 has.
func TestCertificate(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	name := func(cn string) pkix.Name {
		return pkix.Name{CommonName: cn, Organization: []string{"Über AG", "Second"}, OrganizationalUnit: []string{"Unit"}}
	}
	first := time.Unix(1_700_000_000, 0)
	for _, tt := range []struct {
		name          string
		key           crypto.Signer
		before, after time.Time
		serial        int64
		issuer        string
		usage         x509.KeyUsage
		want          map[string]string
		tags          []string
		days, left    int64
	}{
		{"RSA, of another issuer", rsaKey, first, first.AddDate(0, 0, 90), 0x0123, "Some CA", 0, map[string]string{
			"cert.publicAlgorithm": "rsaEncryption", "cert.serial": "0123", "cert.issuerCN": "some ca", "cert.subjectCN": "www.example.org", "cert.curve": "",
		}, nil, 90, 90},
		{"a serial number with a zero in front", ecKey(elliptic.P384()), first.AddDate(-1, 0, 0), first.Add(-time.Hour), 0xff01, "Some CA", 0, map[string]string{
			"cert.publicAlgorithm": "id-ecPublicKey", "cert.curve": "secp384r1", "cert.serial": "00ff01",
		}, nil, 364, 0},
		{"P-521, by itself", ecKey(elliptic.P521()), first, first.AddDate(0, 0, 1), 1, "", 0, map[string]string{"cert.curve": "secp521r1"}, []string{"cert:self-signed"}, 1, 1},
		{"an authority, by itself", edKey, first, time.Date(2061, 1, 1, 0, 0, 0, 0, time.UTC), 1, "", x509.KeyUsageCertSign, map[string]string{
			"cert.publicAlgorithm": "ED25519",
		}, []string{"cert:certificate-authority"}, 13562, 13562},
	} {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(tt.serial), Subject: name("WWW.example.org"), NotBefore: tt.before, NotAfter: tt.after, KeyUsage: tt.usage,
			DNSNames: []string{"Alt.example.org"}, IPAddresses: []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")},
			EmailAddresses: []string{"a@example.org"},
		}
		var issuer *pkix.Name
		if tt.issuer != "" {
			n := name(tt.issuer)
			issuer = &n
		}
		s := newTestSession(New(), TCP, 40000, 443)
		s.First = first.UnixNano()
		newCertFieldsOf(s).add(s, certificate(t, template, issuer, tt.key))
		for path, want := range tt.want {
			f, _ := s.Doc.Registry().ByPath(path)
			if got := s.Doc.String(f.ID); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, path, got, want)
			}
		}
		for _, path := range []string{"cert.issuerON", "cert.subjectON"} {
			wantStrings(t, s, path, "Second", "Über AG") // in the order of DER
		}
		wantStrings(t, s, "cert.issuerOU", "Unit")
		wantStrings(t, s, "cert.subjectOU", "Unit")
		wantStrings(t, s, "cert.alt", "alt.example.org", "192.0.2.1", "2001:db8::1")
		wantStrings(t, s, "tags", tt.tags...)
		wantInts(t, s, "cert.validDays", tt.days)
		wantInts(t, s, "cert.remainingDays", tt.left)
		wantInts(t, s, "cert.notAfter", tt.after.UnixMilli())
		wantInts(t, s, "cert.notBefore", tt.before.UnixMilli())
	}
}

// TestSelfSigned holds which certificates are told to be signed by themselves: all whose two names are the same; to the
// reference the first one of a session, by one common name and the organization.
func TestSelfSigned(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := func(organization, unit string, cn ...string) (n pkix.Name) {
		for _, v := range cn {
			n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 3}, Value: v})
		}
		for i, v := range []string{organization, unit} {
			if v != "" {
				n.ExtraNames = append(n.ExtraNames, pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 10 + i}, Value: v})
			}
		}
		return n
	}
	for _, tt := range []struct {
		name            string
		subject, issuer pkix.Name
		usage           x509.KeyUsage
		behind          bool // another certificate
		ours, theirs    bool
	}{
		{"one name", name("", "", "a"), name("", "", "a"), 0, false, true, true},
		{"with an organization", name("O", "", "a"), name("O", "", "a"), 0, false, true, true},
		{"another organization", name("O", "", "a"), name("P", "", "a"), 0, false, false, false},
		{"an organization on one side", name("O", "", "a"), name("", "", "a"), 0, false, false, false},
		{"another unit", name("O", "U", "a"), name("O", "V", "a"), 0, false, false, true},
		{"in capitals", name("", "", "a"), name("", "", "A"), 0, false, false, true},
		{"no common name", name("O", ""), name("O", ""), 0, false, true, false},
		{"two common names", name("", "", "a", "b"), name("", "", "a", "b"), 0, false, true, false},
		{"an authority", name("", "", "a"), name("", "", "a"), x509.KeyUsageCertSign, false, false, false},
		{"behind another", name("", "", "a"), name("", "", "a"), 0, true, true, false},
	} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(New(), TCP, 40000, 443)
			s.Reference = reference
			f := newCertFieldsOf(s)
			if tt.behind {
				leaf := name("", "", "ca")
				f.add(s, certificate(t, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: name("", "", "leaf")}, &leaf, key))
			}
			f.add(s, certificate(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: tt.subject, KeyUsage: tt.usage}, &tt.issuer, key))
			want := tt.ours
			if reference {
				want = tt.theirs
			}
			if got := slices.Contains(stringsOf(s, "tags"), "cert:self-signed"); got != want {
				t.Errorf("%s, reference %v: self-signed: got %v, want %v", tt.name, reference, got, want)
			}
		}
	}
}

// newCertFieldsOf returns the fields of certificates in the session's registry.
func newCertFieldsOf(s *Session) *certFields {
	for _, p := range s.set.protocols {
		if p.Name == "tls" {
			return p.New(s).(*tlsParser).certificate
		}
	}
	return newCertFields(spi.NewRegistry())
}
