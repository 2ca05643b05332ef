package dissect

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"slices"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// compressedCertificate returns the body of a CompressedCertificate (RFC 8879) that says it holds size bytes.
func compressedCertificate(t testing.TB, algorithm uint16, message []byte, size int) []byte {
	t.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser
	switch algorithm {
	case 1:
		w = zlib.NewWriter(&packed)
	case 2:
		w = brotli.NewWriter(&packed)
	default:
		z, err := zstd.NewWriter(&packed)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := binary.BigEndian.AppendUint16(nil, algorithm)
	b = append(b, uint24(size)...)
	return append(append(b, uint24(packed.Len())...), packed.Bytes()...)
}

func uint24(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }

// certificateMessage returns the body of a Certificate message of TLS 1.3 with a certificate of the name.
func certificateMessage(t testing.TB, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat([]byte{0}, uint24(len(der)+5), uint24(len(der)), der, []byte{0, 0})
}

// TestTLSCompressedCertificate holds that compressed certificates of a decrypted connection are read, and that none is believed
// that does not have the length it says.
func TestTLSCompressedCertificate(t *testing.T) {
	suite, _ := tlsSuiteOf(0x1301)
	secret, random := bytes.Repeat([]byte{5}, sha256.Size), bytes.Repeat([]byte{7}, tlsRandom)
	keys := fmt.Appendf(nil, "SERVER_HANDSHAKE_TRAFFIC_SECRET %x %x\n", random, secret)
	hello := slices.Concat([]byte{tlsClientHello, 0, 0, 43, 3, 3}, random, []byte{0, 0, 2, 0x13, 1, 1, 0, 0, 0})
	hello[3] = byte(len(hello) - tlsHandshakeHeader)
	serverHello := slices.Concat([]byte{tlsServerHello, 0, 0, 0, 3, 3}, make([]byte, tlsRandom), []byte{0, 0x13, 1, 0, 0, 6, 0, extSupportedVersions, 0, 2, 3, 4})
	serverHello[3] = byte(len(serverHello) - tlsHandshakeHeader)
	set := New()
	for algorithm, name := range map[uint16]string{1: "zlib", 2: "brotli", 3: "zstd", 4: ""} {
		message := certificateMessage(t, name)
		for _, size := range []int{len(message), len(message) - 1, len(message) + 1, 0, 1 << 23} {
			body := compressedCertificate(t, algorithm, message, size)
			server := sealed13{suite.keys13(secret)}
			clear13 := func(b []byte) []byte { return append([]byte{tlsHandshake, 3, 3, 0, byte(len(b))}, b...) }
			s := decryptSession(set, []flight{{Client, clear13(hello)}, {Server, clear13(serverHello)},
				{Server, server.record(tlsHandshake, slices.Concat([]byte{tlsCompressedCert}, uint24(len(body)), body))}}, keys)
			s.End(true)
			var want []string
			if size == len(message) && algorithm < 4 {
				want = []string{name}
			}
			if got := stringsOf(s, "cert.subjectCN"); !slices.Equal(got, want) {
				t.Errorf("algorithm %d, length %d of %d: %q, want %q", algorithm, size, len(message), got, want)
			}
		}
	}
}

func FuzzCompressedCertificate(f *testing.F) {
	message := certificateMessage(f, "example.org")
	for algorithm := range uint16(4) {
		f.Add(compressedCertificate(f, algorithm, message, len(message)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, ok := tlsCertificates(b); ok && (len(out) == 0 || len(out) > maxTLSHandshake) {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
