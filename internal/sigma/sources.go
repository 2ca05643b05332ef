package sigma

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// source is a log source that sessions stand for.
type source struct {
	name     string
	protocol string // that a session must have, or empty
	fields   map[string]target
	keywords []target // what is searched for keywords: the fields that a line of the log has as text
}

// target is what a field of a log is in sessions.
type target struct {
	names    []string // in the expression language; the value may be in any of them
	spelling spelling
	values   map[string][]string // what values, in lower case, are called in sessions; nil when they are the same
}

func to(names ...string) target { return target{names: names} }

// field returns the target of a field's name, which is compared in any case.
func (t *tables) field(s *source, name string) (target, bool) {
	name = strings.ToLower(name)
	if to, ok := s.fields[name]; ok {
		return to, true
	}
	to, ok := t.flow[name]
	return to, ok
}

// tables are the log sources that are for networks.
type tables struct {
	flow       map[string]target  // fields of all sources
	categories map[string]*source // by category
	zeek       map[string]*source // of product zeek, by service: the names of its logs
}

func newTables() *tables {
	flow := map[string]target{
		"src_ip": to("ip.src"), "source.ip": to("ip.src"), "c-ip": to("ip.src"), "id.orig_h": to("ip.src"),
		"dst_ip": to("ip.dst"), "destination.ip": to("ip.dst"), "s-ip": to("ip.dst"), "id.resp_h": to("ip.dst"),
		"src_port": to("port.src"), "source.port": to("port.src"), "id.orig_p": to("port.src"),
		"dst_port": to("port.dst"), "destination.port": to("port.dst"), "s-port": to("port.dst"), "id.resp_p": to("port.dst"),
		"vlan": to("vlan"),
		"proto": {names: []string{"ip.protocol"}, values: map[string][]string{
			"tcp": {"tcp"}, "udp": {"udp"}, "icmp": {"icmp", "icmp6"}, "6": {"tcp"}, "17": {"udp"}, "1": {"icmp"}, "58": {"icmp6"},
		}},
	}

	conn := map[string]target{
		"orig_bytes": to("databytes.src"), "resp_bytes": to("databytes.dst"), "orig_pkts": to("packets.src"), "resp_pkts": to("packets.dst"),
		"service": {names: []string{"protocols"}, values: map[string][]string{
			"dns": {"dns"}, "http": {"http"}, "ssl": {"tls"}, "tls": {"tls"}, "ssh": {"ssh"}, "ftp": {"ftp"}, "smtp": {"smtp"}, "smb": {"smb"}, "krb": {"krb5"},
			"dce_rpc": {"dcerpc"}, "ntlm": {"ntlm"}, "rdp": {"rdp"}, "snmp": {"snmp"}, "dhcp": {"dhcp"}, "ntp": {"ntp"}, "sip": {"sip"}, "irc": {"irc"},
			"ldap": {"ldap"}, "ldap_tcp": {"ldap"}, "ldap_udp": {"ldap"}, "mysql": {"mysql"}, "radius": {"radius"}, "socks": {"socks"}, "quic": {"quic"},
		}},
	}

	wholeURI := target{names: []string{"http.uri"}, spelling: uri}
	queryPart := target{names: []string{"http.uri"}, spelling: query}
	agent := to("http.user-agent")

	http := map[string]target{
		"c-uri": wholeURI, "cs-uri": wholeURI, "uri": wholeURI, "url.original": wholeURI,
		"c-uri-query": queryPart, "cs-uri-query": queryPart, "url.query": queryPart,
		"c-uri-path": to("http.uri.path"), "c-uri-stem": to("http.uri.path"), "cs-uri-stem": to("http.uri.path"), "url.path": to("http.uri.path"),
		"c-uri-extension": {names: []string{"http.uri.path"}, spelling: extension},
		"cs-host":         to("host.http"), "r-dns": to("host.http"), "host": to("host.http"),
		"c-useragent": agent, "cs-user-agent": agent, "cs(user-agent)": agent, "user_agent": agent, "user_agent.original": agent,
		"cs-method": to("http.method"), "method": to("http.method"),
		"sc-status": to("http.statuscode"), "status_code": to("http.statuscode"),
		"cs-referer": to("http.referer"), "cs-referrer": to("http.referer"), "cs(referer)": to("http.referer"), "referrer": to("http.referer"),
		"cs-username": to("http.user"), "username": to("http.user"),
	}

	queryName := to("dns.query.host")
	answer := to("dns.answer.ip", "dns.answer.cname", "dns.answer.txt", "dns.answer.mx", "dns.answer.ns", "dns.answer.data")

	dns := map[string]target{
		"query": queryName, "dns.question.name": queryName,
		"record_type": to("dns.query.type"), "qtype_name": to("dns.query.type"),
		"answer": answer, "answers": answer,
		"rcode_name": to("dns.status"),
	}

	// Keywords are looked for in what lines of proxies and web servers have as text.
	web := func(name string) *source {
		return &source{name, "http", http, []target{{names: []string{"http.uri"}}, agent, to("http.referer")}}
	}

	categories := map[string]*source{
		"dns":       {"category dns", "dns", dns, []target{queryName, answer}},
		"firewall":  {"category firewall", "", nil, nil},
		"netflow":   {"category netflow", "", conn, nil},
		"proxy":     web("category proxy"),
		"webserver": web("category webserver"),
	}

	zeek := map[string]*source{
		"conn": {"zeek conn", "", conn, nil},
		"dns":  {"zeek dns", "dns", dns, []target{queryName, answer}},
		"http": web("zeek http"),
		"ssl": {"zeek ssl", "tls", map[string]target{
			"server_name": to("host.tls"), "cipher": to("tls.cipher"), "next_protocol": to("tls.next-protocol"),
			"ja3": to("tls.ja3"), "ja3s": to("tls.ja3s"), "ja4": to("tls.ja4"),
			"version": {names: []string{"tls.version"}, values: map[string][]string{
				"sslv2": {"SSLv2"}, "sslv3": {"SSLv3"}, "tlsv10": {"TLSv1"}, "tlsv11": {"TLSv1.1"}, "tlsv12": {"TLSv1.2"}, "tlsv13": {"TLSv1.3"},
			}},
		}, nil},
		"x509": {"zeek x509", "tls", map[string]target{
			"certificate.serial": {names: []string{"cert.serial"}, spelling: serial}, "san.dns": to("cert.alt"),
		}, nil},
		"smb_files":   {"zeek smb_files", "smb", map[string]target{"name": to("smb.fn"), "path": to("smb.share")}, nil},
		"smb_mapping": {"zeek smb_mapping", "smb", map[string]target{"path": to("smb.share")}, nil},
		"kerberos":    {"zeek kerberos", "krb5", map[string]target{"service": to("krb5.sname"), "cipher": to("krb5.etype"), "error_msg": to("krb5.error")}, nil},
		"dce_rpc": {"zeek dce_rpc", "dcerpc", map[string]target{
			"endpoint": {names: []string{"dcerpc.interface"}, values: map[string][]string{
				"epmapper": {"epmapper"}, "lsarpc": {"lsarpc"}, "samr": {"samr"}, "netlogon": {"netlogon"}, "srvsvc": {"srvsvc"}, "wkssvc": {"wkssvc"},
				"svcctl": {"svcctl"}, "winreg": {"winreg"}, "atsvc": {"atsvc"}, "drsuapi": {"drsuapi"}, "spoolss": {"spoolss"},
				"itaskschedulerservice": {"taskscheduler"}, "iremotewinspool": {"winspool"},
			}},
		}, nil},
		"rdp":  {"zeek rdp", "rdp", map[string]target{"cookie": to("rdp.cookie")}, nil},
		"ntlm": {"zeek ntlm", "ntlm", map[string]target{"hostname": to("ntlm.host"), "domainname": to("ntlm.domain")}, nil},
		"ssh": {"zeek ssh", "ssh", map[string]target{
			"client": to("ssh.ver"), "server": to("ssh.ver"), "hassh": to("ssh.hassh"), "hasshserver": to("ssh.hasshServer"),
		}, nil},
		"ftp": {"zeek ftp", "ftp", map[string]target{"user": to("user"), "command": to("ftp.command"), "reply_code": to("ftp.responseCode")}, nil},
		"smtp": {"zeek smtp", "smtp", map[string]target{
			"mailfrom": to("email.src"), "rcptto": to("email.dst"), "subject": to("email.subject"), "helo": to("email.smtp-hello"), "user_agent": to("email.x-mailer"),
		}, nil},
	}
	return &tables{flow, categories, zeek}
}

// find returns the source of a rule; errOther when the rule is not for networks.
func (t *tables) find(n *yaml.Node) (*source, error) {
	_, m, err := members(n, "the logsource")
	if err != nil {
		return nil, err
	}
	value := func(name string) string {
		if m[name] == nil || m[name].Kind != yaml.ScalarNode {
			return ""
		}
		return strings.ToLower(m[name].Value)
	}
	category, product, service := value("category"), value("product"), value("service")
	if category == "" && service == "netflow" {
		category = "netflow"
	}
	switch {
	case product == "zeek" && (service != "" || t.categories[category] == nil):
		if s := t.zeek[service]; s != nil {
			return s, nil
		}
		return nil, fail(n, "zeek's log %q has no equal in sessions", service)
	case product == "suricata":
		return nil, fail(n, "rules for suricata's log are not converted")
	case t.categories[category] != nil:
		return t.categories[category], nil
	}
	return nil, errOther
}
