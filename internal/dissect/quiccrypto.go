package dissect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"iter"
)

// quicInitialKeys protect the Initial packets of both sides (RFC 9001 section 5.2).
type quicInitialKeys struct {
	version uint32
	side    [2]quicKeys // of client and server
}

// quicKeys are an AEAD and its header protection.
type quicKeys struct {
	aead   cipher.AEAD
	hp     cipher.Block
	chacha []byte // key of the header protection with ChaCha20, instead of hp
	iv     []byte
}

func newQUICInitialKeys(v quicVersion, dcid []byte) quicInitialKeys {
	out := quicInitialKeys{version: v.number}
	initial, err := hkdf.Extract(sha256.New, dcid, []byte(v.salt))
	if err != nil {
		return out // a Go runtime that allows no short keys; then nothing is opened
	}
	for side, label := range [2]string{"client in", "server in"} {
		secret := expandLabel(sha256.New, initial, label, sha256.Size)
		k := &out.side[side]
		k.iv = expandLabel(sha256.New, secret, v.labels+" iv", 12)
		k.aead = newGCM(expandLabel(sha256.New, secret, v.labels+" key", 16))
		if hp, err := aes.NewCipher(expandLabel(sha256.New, secret, v.labels+" hp", 16)); err == nil {
			k.hp = hp
		}
	}
	return out
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
// It returns nil when the secret is refused.
func expandLabel(h func() hash.Hash, secret []byte, label string, size int) []byte {
	info := make([]byte, 0, 64)
	info = binary.BigEndian.AppendUint16(info, uint16(size)) //nolint:gosec // a few dozen
	info = append(info, byte(6+len(label)))
	info = append(append(info, "tls13 "...), label...)
	info = append(info, 0)
	out, err := hkdf.Expand(h, secret, string(info), size)
	if err != nil {
		return nil
	}
	return out
}

// newGCM returns AES-GCM, nil for a key of another length than AES's.
func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	return aead
}

// open removes header and packet protection of the packet whose packet number
// stands at pn (RFC 9001 sections 5.3 and 5.4). The packet stays as it is. Packet
// numbers of Initial packets begin at 0, so that what is sent of them is the whole.
func (k *quicKeys) open(packet []byte, pn int) ([]byte, bool) {
	const sample = 4 // from the packet number on, however long it is
	if k.aead == nil || k.hp == nil || len(packet) < pn+sample+aes.BlockSize {
		return nil, false
	}
	var mask [aes.BlockSize]byte
	k.hp.Encrypt(mask[:], packet[pn+sample:])
	first := packet[0] ^ mask[0]&0x0f
	size := int(first&3) + 1
	head := append([]byte{}, packet[:pn+size]...)
	head[0] = first
	var nonce [12]byte
	copy(nonce[:], k.iv)
	for i := range size {
		head[pn+i] ^= mask[1+i] //nolint:gosec // size is 4 at most
		nonce[12-size+i] ^= head[pn+i]
	}
	out, err := k.aead.Open(nil, nonce[:], packet[pn+size:], head)
	return out, err == nil
}

// Frames that may be in an Initial packet (RFC 9000 section 12.4).
const (
	quicPadding     = 0x00
	quicPing        = 0x01
	quicAck         = 0x02
	quicAckECN      = 0x03
	quicCrypto      = 0x06
	quicClose       = 0x1c
	googleCrypto    = 0x08 // in Q050
	maxQUICAckRange = 512
)

// quicCryptoFrames yields offset and data of the CRYPTO frames in the payload of
// an Initial packet. It ends at a frame that does not belong there.
func quicCryptoFrames(payload []byte, google bool) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		for r := (tlsReader{b: payload}); len(r.b) > 0 && !r.bad; {
			kind := r.varint()
			switch {
			case kind == quicPadding, kind == quicPing:
			case kind == quicCrypto && !google, kind == googleCrypto && google:
				off, size := r.varint(), r.varint()
				if r.bad || size > uint64(len(r.b)) || !yield(off, r.take(int(size))) {
					return
				}
			case kind == quicAck, kind == quicAckECN:
				r.varint() // largest acknowledged
				r.varint() // delay
				ranges := r.varint()
				if ranges > maxQUICAckRange {
					return
				}
				for range 1 + 2*ranges { // the first range, then gaps and ranges
					r.varint()
				}
				if kind == quicAckECN {
					for range 3 {
						r.varint()
					}
				}
			default: // CONNECTION_CLOSE ends the connection
				return
			}
		}
	}
}
