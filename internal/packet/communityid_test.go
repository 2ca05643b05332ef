package packet

import (
	"net/netip"
	"testing"
)

// The identifiers were computed with the specification's reference implementation (PyPI: communityid 1.5).
func TestCommunityID(t *testing.T) {
	for _, c := range []struct {
		proto    uint8
		src, dst string
		sp, dp   uint16 // ICMP: type and code
		seed     uint16
		want     string
	}{
		{6, "128.232.110.120", "66.35.250.204", 34855, 80, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{6, "66.35.250.204", "128.232.110.120", 80, 34855, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{6, "128.232.110.120", "66.35.250.204", 34855, 80, 1, "1:3V71V58M3Ksw/yuFALMcW0LAHvc="},
		{17, "192.168.1.52", "8.8.8.8", 54585, 53, 0, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{17, "10.0.0.1", "10.0.0.1", 5, 4, 0, "1:PbXEucXIxDu5UoupZ1rj7ybZ6vc="},
		{132, "192.168.170.8", "192.168.170.56", 7, 80, 0, "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="},
		{6, "fe80::1", "fe80::2", 22, 2222, 0, "1:JFNQTFoURXli52IuCegjCVhlong="},
		{6, "fe80::2", "fe80::1", 2222, 22, 0, "1:JFNQTFoURXli52IuCegjCVhlong="},
		{1, "192.168.0.89", "192.168.0.1", 8, 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{1, "192.168.0.1", "192.168.0.89", 8, 0, 0, "1:Xd3I0IiB3MnC0cDe3fbqH8+dDGI="},
		{1, "192.168.0.89", "192.168.0.1", 0, 0, 0, "1:Xd3I0IiB3MnC0cDe3fbqH8+dDGI="},
		{1, "192.168.0.1", "192.168.0.89", 0, 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{1, "192.168.0.89", "192.168.0.1", 13, 0, 0, "1:oeo0XqAz7cn/+sOcFFOn55Omz0U="},
		{1, "192.168.0.1", "192.168.0.89", 13, 0, 0, "1:uiloJmzo9VB4N869eqNADHXuQJM="},
		{1, "192.168.0.89", "192.168.0.1", 14, 0, 0, "1:uiloJmzo9VB4N869eqNADHXuQJM="},
		{1, "192.168.0.1", "192.168.0.89", 14, 0, 0, "1:oeo0XqAz7cn/+sOcFFOn55Omz0U="},
		{1, "192.168.0.89", "192.168.0.1", 17, 0, 0, "1:l6FQTO9IDRsq7cW/KitEu2ab7NM="},
		{1, "192.168.0.1", "192.168.0.89", 17, 0, 0, "1:6dTj0ptxvEN9+cuc4SfVqQjtlW8="},
		{1, "192.168.0.89", "192.168.0.1", 18, 0, 0, "1:6dTj0ptxvEN9+cuc4SfVqQjtlW8="},
		{1, "192.168.0.1", "192.168.0.89", 18, 0, 0, "1:l6FQTO9IDRsq7cW/KitEu2ab7NM="},
		{1, "192.168.0.89", "192.168.0.1", 10, 0, 0, "1:ZCE6FYKtYq6/Z5/7VYclhgEesAg="},
		{1, "192.168.0.1", "192.168.0.89", 10, 0, 0, "1:0hTYL8ekh0YMbFphUlZIMctBe1g="},
		{1, "192.168.0.89", "192.168.0.1", 9, 0, 0, "1:0hTYL8ekh0YMbFphUlZIMctBe1g="},
		{1, "192.168.0.1", "192.168.0.89", 9, 0, 0, "1:ZCE6FYKtYq6/Z5/7VYclhgEesAg="},
		{1, "192.168.0.89", "192.168.0.1", 15, 0, 0, "1:fOg3Bo3uOxI7xD431D+RTtZCCjw="},
		{1, "192.168.0.1", "192.168.0.89", 15, 0, 0, "1:6ZCKi6lsG2Rw85OQJ+W89GVQOrE="},
		{1, "192.168.0.89", "192.168.0.1", 16, 0, 0, "1:6ZCKi6lsG2Rw85OQJ+W89GVQOrE="},
		{1, "192.168.0.1", "192.168.0.89", 16, 0, 0, "1:fOg3Bo3uOxI7xD431D+RTtZCCjw="},
		{1, "192.168.0.89", "192.168.0.1", 3, 1, 0, "1:LXCfhMUFbYXe+CEMrQuZCbiLY3o="},
		{1, "192.168.0.1", "192.168.0.89", 3, 1, 0, "1:o3zT92uTgnRWv/YrDVeXcWumpC4="},
		{1, "192.168.0.89", "192.168.0.1", 11, 0, 0, "1:WWhK5yv9t1/eWrodrgw+6KseRoA="},
		{1, "192.168.0.1", "192.168.0.89", 11, 0, 0, "1:5ppgsucJbrpJCp1T8kvBKS94Ib0="},
		{1, "192.168.0.89", "192.168.0.1", 5, 3, 0, "1:a9v6SkmRJZgA6jUY1wMgoG19F0U="},
		{1, "192.168.0.1", "192.168.0.89", 5, 3, 0, "1:laokN0Zh6T22exLYGUMZWSMWBkc="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 128, 0, 0, "1:QrVnZEjGihSsEkRF1XxqheQ1Za8="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 128, 0, 0, "1:0v7671U6aMFvKQtpE4ZMYXnSVjQ="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 129, 0, 0, "1:0v7671U6aMFvKQtpE4ZMYXnSVjQ="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 129, 0, 0, "1:QrVnZEjGihSsEkRF1XxqheQ1Za8="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 130, 0, 0, "1:AqqGbwQfzV0erxPUVV+XZ02Zm5M="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 130, 0, 0, "1:EWeX0N02fv6kiZ4mtVIrNsLkom4="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 131, 0, 0, "1:EWeX0N02fv6kiZ4mtVIrNsLkom4="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 131, 0, 0, "1:AqqGbwQfzV0erxPUVV+XZ02Zm5M="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 133, 0, 0, "1:MxMeSyWe6OTpBt36dIzrtH7OcS8="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 133, 0, 0, "1:QpYRAQH404PdAphcvVTflGzHNos="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 134, 0, 0, "1:QpYRAQH404PdAphcvVTflGzHNos="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 134, 0, 0, "1:MxMeSyWe6OTpBt36dIzrtH7OcS8="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 0, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 136, 0, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 139, 0, 0, "1:5M4clpPt0fX67/4bIqQT4gA26Dw="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 139, 0, 0, "1:cOJwEcSbkW1UEpyFTXIP4GMDabo="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 140, 1, 0, "1:cOJwEcSbkW1UEpyFTXIP4GMDabo="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 140, 1, 0, "1:5M4clpPt0fX67/4bIqQT4gA26Dw="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 144, 0, 0, "1:m49RyQ8yIT9LBEoGoI5SnZktCdQ="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 144, 0, 0, "1:XQq303/ZTbnZhBfoQdmuW8MWAfU="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 145, 0, 0, "1:XQq303/ZTbnZhBfoQdmuW8MWAfU="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 145, 0, 0, "1:m49RyQ8yIT9LBEoGoI5SnZktCdQ="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 1, 4, 0, "1:JFKLai0Yy5jldt/ku5XTzXROz0Q="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 1, 4, 0, "1:7fO1NoMmOlnn29+Lz7gg3xJHO+k="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 143, 0, 0, "1:u29u/40f5pp+Flrmr8QOASz7JG4="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 143, 0, 0, "1:3lpcbu++UqtSKTWbO6IgERqMX/Q="},
		{58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 137, 0, 0, "1:KAwF9EkljGcWl9SKSjiiJXYlGE4="},
		{58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 137, 0, 0, "1:uu9wmFCkltmZ83FNrS8Nl6c7s4M="},
		{47, "10.1.24.4", "10.1.12.1", 0, 0, 0, "1:6JFBmF1p0LABA19nAHNSi9mGLPM="},
		{50, "10.1.24.4", "10.1.12.1", 0, 0, 0, "1:bi3iljcHhcLdRZQuBuURakpF2bk="},
		{46, "10.1.12.1", "10.1.24.4", 0, 0, 0, "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4="},
	} {
		src, dst := netip.MustParseAddr(c.src), netip.MustParseAddr(c.dst)
		sp, dp, typ, code := c.sp, c.dp, uint8(0), uint8(0)
		if c.proto == ProtoICMP || c.proto == ProtoICMPv6 {
			sp, dp, typ, code = 0, 0, uint8(c.sp), uint8(c.dp)
		}
		k, d, err := KeyFromAddrs(c.proto, netip.AddrPortFrom(src, sp), netip.AddrPortFrom(dst, dp))
		if err != nil {
			t.Fatal(err)
		}
		if got := CommunityID(&k, d, typ, code, c.seed); got != c.want {
			t.Errorf("protocol %d, %s %d to %s %d, seed %d: %s, want %s", c.proto, c.src, c.sp, c.dst, c.dp, c.seed, got, c.want)
		}
	}
	mac := Key{Kind: KindMAC}
	if got := CommunityID(&mac, AtoB, 0, 0, 0); got != "" {
		t.Errorf("a key without IP has community ID %q, want none", got)
	}
}
