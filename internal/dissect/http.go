package dissect

import (
	"strings"

	"wirelake/internal/spi"
)

// httpProtocol reads HTTP/1.0 and 1.1 (RFC 9110, 9112): requests and responses
// with pipelining, their headers, and their bodies as they stream by.
type httpProtocol struct {
	httpFields
	ntlm    *ntlm
	files   *fileFields
	forms   *mailFields            // for the files in forms alone
	methods map[string]spi.FieldID // http.method-GET and the like
	asks    [2]map[string]headerUse
}

type httpFields struct {
	method, uri, host, path, key, value, cookieKey, cookieValue     spi.FieldID
	userAgent, referer, authorization, authType, user, xffIP        spi.FieldID
	requestBody, location, status                                   spi.FieldID
	version, header, headerField, headerValue                       [2]spi.FieldID
	bodyMagic, md5, sha256, decodedMagic, decodedMD5, decodedSHA256 spi.FieldID
}

// headerUse is a header that has fields of its own.
type headerUse uint8

const (
	useNone headerUse = iota
	useHost
	useUserAgent
	useReferer
	useAuthorization
	useForwarded
	useCookie
	useLocation
	useLength
	useTransfer
	useEncoding
	useUpgrade
	useAuthenticate
	useDisposition
	useRange
	useType
	useProxyAuthorization
)

// alone reports whether the header's value is only in its own field.
func (u headerUse) alone() bool {
	switch u {
	case useHost, useUserAgent, useReferer, useAuthorization, useForwarded, useLocation:
		return true
	}
	return false
}

// httpMethods returns the methods that begin requests recognized as HTTP: those
// of RFC 9110 and 5789, which have a field for their number each, then those of RFC 4918 (WebDAV),
// 3253 and 6352 in common use, UPnP's, RPC over HTTP's, and HTTP/2's preface.
func httpMethods() (counted, others []string) {
	return []string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"},
		[]string{
			"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT", "MERGE", "CHECKOUT",
			"SUBSCRIBE", "UNSUBSCRIBE", "NOTIFY", "M-SEARCH", "PURGE", "RPC_IN_DATA", "RPC_OUT_DATA", "PRI",
		}
}

// declareHTTP declares the fields of HTTP, which its versions share.
func declareHTTP(r *spi.Registry) *httpProtocol {
	p := &httpProtocol{methods: make(map[string]spi.FieldID), ntlm: declareNTLM(r), files: declareFiles(r)}
	term := func(path, expr, name, help string, hot bool) spi.FieldID {
		return r.Declare(spi.Field{Path: "http." + path, Type: spi.Term, List: true, Exprs: []string{expr}, Name: name, Help: help, Hot: hot})
	}
	lower := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "http." + path, Type: spi.LoTerm, List: true, Exprs: []string{expr}, Name: name, Help: help})
	}
	hash := func(path string, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "http." + path, Type: spi.LoTerm, List: true, Exprs: []string{"http." + path, strings.TrimPrefix(strings.ToLower(path), "decoded") + ".http." + path}, Hot: true, Bloom: true, Name: name, Help: help})
	}
	p.httpFields = httpFields{
		method:        term("method", "http.method", "Method", "request methods", true),
		uri:           term("uri", "http.uri", "URI", "host and request target, joined", true),
		host:          r.Declare(spi.Field{Path: "http.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.http", "http.host"}, Hot: true, Bloom: true, Name: "Host", Help: "Host header"}),
		path:          term("path", "http.uri.path", "Path", "path part of URIs", false),
		key:           term("key", "http.uri.key", "Query keys", "keys of query strings", false),
		value:         term("value", "http.uri.value", "Query values", "values of query strings", false),
		cookieKey:     term("cookieKey", "http.cookie.key", "Cookie keys", "names of cookies sent", false),
		cookieValue:   term("cookieValue", "http.cookie.value", "Cookie values", "values of cookies sent", false),
		userAgent:     term("useragent", "http.user-agent", "User agent", "User-Agent header", true),
		referer:       term("request-referer", "http.referer", "Referer", "Referer header", false),
		authorization: term("request-authorization", "http.authorization", "Authorization", "Authorization header", false),
		authType:      lower("authType", "http.authtype", "Authorization scheme", "scheme of the Authorization header"),
		user:          term("user", "http.user", "User", "user of HTTP authentication", true),
		xffIP:         r.Declare(spi.Field{Path: "http.xffIp", Type: spi.IP, List: true, Exprs: []string{"ip.xff"}, Hot: true, Bloom: true, Name: "Forwarded for", Help: "addresses in X-Forwarded-For"}),
		requestBody:   term("requestBody", "http.reqbody", "Request body", "start of request bodies", false),
		location:      term("response-location", "http.location", "Location", "Location header", false),
		status:        r.Declare(spi.Field{Path: "http.statuscode", Type: spi.Integer, List: true, Exprs: []string{"http.statuscode"}, Hot: true, Name: "Status", Help: "status codes"}),
		version: [2]spi.FieldID{
			term("clientVersion", "http.version.src", "Request version", "version in requests", false),
			term("serverVersion", "http.version.dst", "Response version", "version in responses", false),
		},
		header: [2]spi.FieldID{
			lower("requestHeader", "http.hasheader.src", "Request headers", "names of request headers"),
			lower("responseHeader", "http.hasheader.dst", "Response headers", "names of response headers"),
		},
		headerField: [2]spi.FieldID{
			lower("requestHeaderField", "http.header.request.field", "Request header fields", "names of request headers without a field of their own"),
			lower("responseHeaderField", "http.header.response.field", "Response header fields", "names of response headers without a field of their own"),
		},
		headerValue: [2]spi.FieldID{
			lower("requestHeaderValue", "http.hasheader.src.value", "Request header values", "values of request headers without a field of their own"),
			lower("responseHeaderValue", "http.hasheader.dst.value", "Response header values", "values of response headers without a field of their own"),
		},
		bodyMagic:     term("bodyMagic", "http.bodymagic", "Body type", "kinds of bodies found by content", true),
		md5:           hash("md5", "Body MD5", "MD5 of bodies, as transferred, without chunking"),
		sha256:        hash("sha256", "Body SHA-256", "SHA-256 of bodies, as transferred, without chunking"),
		decodedMagic:  term("decodedMagic", "http.decoded-magic", "Decoded body type", "kinds of bodies found by content, gzip or deflate undone", false),
		decodedMD5:    hash("decodedMd5", "Decoded body MD5", "MD5 of bodies, gzip or deflate undone"),
		decodedSHA256: hash("decodedSha256", "Decoded body SHA-256", "SHA-256 of bodies, gzip or deflate undone"),
	}
	p.forms = &mailFields{files: p.files}
	counted, _ := httpMethods()
	for _, m := range counted {
		p.methods[m] = r.Declare(spi.Field{Path: "http.method-" + m, Type: spi.Integer, Exprs: []string{"http.method." + m}, Name: m + " requests", Help: "number of " + m + " requests"})
	}
	both := map[string]headerUse{"content-length": useLength, "transfer-encoding": useTransfer, "content-encoding": useEncoding, "upgrade": useUpgrade, "content-disposition": useDisposition, "content-range": useRange}
	for dir, own := range [2]map[string]headerUse{
		{"host": useHost, "user-agent": useUserAgent, "referer": useReferer, "authorization": useAuthorization, "x-forwarded-for": useForwarded, "cookie": useCookie, "content-type": useType,
			"proxy-authorization": useProxyAuthorization},
		{"location": useLocation, "www-authenticate": useAuthenticate, "proxy-authenticate": useAuthenticate},
	} {
		p.asks[dir] = own
		for name, use := range both {
			own[name] = use
		}
	}
	return p
}

func newHTTP(r *spi.Registry) Protocol {
	p := declareHTTP(r)
	matchers := []Matcher{{On: TCP, Bytes: "HTTP/1."}, {On: SCTP, Bytes: "HTTP/1."}}
	counted, others := httpMethods()
	for _, m := range append(counted, others...) {
		for _, on := range []Transport{TCP, SCTP} {
			matchers = append(matchers, Matcher{On: on, Bytes: m, MinLen: len(m) + 1, Func: func(s *Session, _ Dir, b []byte) bool {
				c := b[len(m)]
				return (c == ' ' || c == '\r' || c == '\n') && (s.Reference || !foreignTarget(b[len(m)+1:]))
			}})
		}
	}
	return Protocol{Name: "http", Matchers: matchers, New: func(*Session) Parser { return &http{p: p} }}
}

// foreignTarget reports whether what follows a method says that the request is of another protocol which took
// over HTTP's methods: RTSP (RFC 7826), SIP (RFC 3261), NATS, STOMP.
func foreignTarget(b []byte) bool {
	return len(b) > 0 && b[0] == '{' || hasPrefixFold(b, "rtsp:") || hasPrefixFold(b, "rtspu:") || hasPrefixFold(b, "rtsps:") ||
		hasPrefixFold(b, "sip:") || hasPrefixFold(b, "sips:") || hasPrefixFold(b, "accept-version")
}

// noteHTTPService marks the protocol that is HTTP on the path.
func noteHTTPService(s *Session, path []byte) {
	if name := httpService(strings.ToLower(string(path[:min(len(path), 128)]))); name != "" {
		s.AddProtocol(name)
	}
}

// httpService names protocols that are HTTP on well-known paths. Path is in lower case.
func httpService(path string) string {
	has := func(prefix string) bool { return len(path) >= len(prefix) && path[:len(prefix)] == prefix }
	ends := func(suffix string) bool { return len(path) >= len(suffix) && path[len(path)-len(suffix):] == suffix }
	switch {
	case path == "/wsman" || has("/wsman/") || has("/wsman?"):
		return "winrm" // DSP0226
	case has("/certsrv/mscep"):
		return "adcs-ndes" // SCEP, RFC 8894
	case has("/certsrv/"):
		return "adcs-web"
	case has("/adpolicyprovider_cep"):
		return "adcs-cep" // MS-XCEP
	case has("/enrollmentserver/"), ends("_ces_kerberos/service.svc/ces"), ends("_ces_usernamepassword/service.svc/ces"):
		return "adcs-ces" // MS-WSTEP
	case (ends("/rpcproxy.dll") || strings.Contains(path, "/rpcproxy.dll?")) && has("/rpc"):
		return "rpc-over-http" // MS-RPCH
	}
	return ""
}
