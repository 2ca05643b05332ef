package main

import "encoding/binary"

func sshString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func sshPacket(payload []byte) []byte {
	pad := 8 - (5+len(payload))%8
	if pad < 4 {
		pad += 8
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+pad))
	b = append(b, byte(pad))
	b = append(b, payload...)
	return append(b, make([]byte, pad)...)
}

func (f *flow) kexInit(server bool) []byte {
	p := make([]byte, 17)
	p[0] = 20
	fillRandom(f.rng, p[1:])
	kex := "sntrup761x25519-sha512@openssh.com,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512"
	key := "ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256"
	if server {
		key = "rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256,ssh-ed25519"
	} else {
		kex += ",ext-info-c"
	}
	ci := "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com"
	mac := "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha1"
	for _, s := range []string{kex, key, ci, ci, mac, mac, "none,zlib@openssh.com", "none,zlib@openssh.com", "", ""} {
		p = sshString(p, s)
	}
	return sshPacket(append(p, 0, 0, 0, 0, 0))
}

func buildSSH(f *flow, size int64) {
	r := f.rng
	f.ep[1].port = 22
	v := []string{"OpenSSH_9.6p1 Ubuntu-3ubuntu13.5", "OpenSSH_9.2p1 Debian-2+deb12u3", "OpenSSH_8.9p1", "dropbear_2022.83", "libssh2_1.11.0"}
	f.say(c2s, 0, []byte("SSH-2.0-"+v[r.IntN(5)]+"\r\n"))
	f.say(s2c, f.think(4), []byte("SSH-2.0-"+v[r.IntN(3)]+"\r\n"))
	f.say(c2s, 0, f.kexInit(false))
	f.say(s2c, 0, f.kexInit(true))
	rnd := func(n int) string {
		b := make([]byte, n)
		fillRandom(r, b)
		return string(b)
	}
	f.say(c2s, 2*ms, sshPacket(sshString([]byte{30}, rnd(32))))
	rep := sshString([]byte{31}, "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"+rnd(32))
	rep = sshString(rep, rnd(32))
	rep = sshString(rep, "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x40"+rnd(64))
	f.say(s2c, 3*ms, append(sshPacket(rep), sshPacket([]byte{21})...))
	f.say(c2s, ms, sshPacket([]byte{21}))
	for range 6 {
		f.body(c2s, f.think(10), nil, bodySSH, 36+r.Int64N(8)*16)
		f.body(s2c, f.think(5), nil, bodySSH, 36+r.Int64N(8)*16)
	}
	if size > 100e3 { // a copy
		f.body(uint8(r.IntN(2)), f.think(50), nil, bodySSH, size)
		return
	}
	for done := int64(0); done < size; {
		n := 36 + int64(r.ExpFloat64()*200)
		f.body(c2s, f.think(200), nil, bodySSH, 36)
		f.body(s2c, f.think(3), nil, bodySSH, n)
		done += n
	}
}
