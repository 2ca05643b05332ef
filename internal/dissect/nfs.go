package dissect

import (
	"strconv"

	"wirelake/internal/spi"
)

// nfsFields file what calls of NFS name: versions 2 to 4 (RFC 1094, 1813, 7530, 8881), and mounts (RFC 1813 appendix I).
type nfsFields struct {
	version                   spi.FieldID
	procedure, filename, path spi.FieldID
}

const (
	nfsProgram   = 100003
	mountProgram = 100005
	nfsMaxOps    = 64 // of a compound
)

func declareNFS(r *spi.Registry) *nfsFields {
	g := fieldGroup{r, "nfs"}
	return &nfsFields{
		version:   g.list(spi.Term, "version", "Version", "protocol versions"),
		procedure: g.list(spi.LoTerm, "procedure", "Procedures", "procedures called; of version 4, operations"),
		filename:  r.Declare(spi.Field{Path: "nfs.filename", Type: spi.Term, List: true, Exprs: []string{"nfs.fn", "nfs.filename"}, Hot: true, Name: "File name", Help: "names of files looked up, opened, made, removed or renamed"}),
		path:      g.list(spi.Term, "path", "Path", "paths mounted"),
	}
}

// call reads the arguments of a call.
func (p *nfsFields) call(s *Session, program, version, procedure uint64, w *wire) {
	switch {
	case program == mountProgram:
		s.AddProtocol("nfs")
		if name := nameOf([]string{"null", "mnt", "dump", "umnt", "umntall", "export"}, int(min(procedure, 99))); name != "" {
			s.Doc.AddString(p.procedure, name)
			if procedure == 1 || procedure == 3 {
				addText(s, p.path, w.opaque())
			}
		}
	case program == nfsProgram && version == 4:
		s.AddProtocol("nfs")
		p.compound(s, procedure, w)
	case program == nfsProgram:
		s.AddProtocol("nfs")
		p.classic(s, version, procedure, w)
	}
}

func (p *nfsFields) name(s *Session, b []byte) {
	if len(b) > 0 && len(b) <= 255 {
		s.Doc.AddBytes(p.filename, b)
	}
}

// classic reads a call of version 2 or 3.
func (p *nfsFields) classic(s *Session, version, procedure uint64, w *wire) {
	names := []string{
		"null", "getattr", "setattr", "lookup", "access", "readlink", "read", "write", "create", "mkdir", "symlink", "mknod", "remove", "rmdir", "rename",
		"link", "readdir", "readdirplus", "fsstat", "fsinfo", "pathconf", "commit",
	}
	if version == 2 {
		names = []string{
			"null", "getattr", "setattr", "root", "lookup", "readlink", "read", "writecache", "write", "create", "remove", "rename", "link", "symlink", "mkdir",
			"rmdir", "readdir", "statfs",
		}
	}
	name := nameOf(names, int(min(procedure, 99)))
	if name == "" {
		return
	}
	s.Doc.AddString(p.version, strconv.FormatUint(version, 10))
	s.Doc.AddString(p.procedure, name)
	handle := func() {
		if version == 2 {
			w.take(32)
		} else {
			w.opaque()
		}
	}
	switch name {
	case "lookup", "create", "mkdir", "symlink", "mknod", "remove", "rmdir":
		handle()
		p.name(s, w.opaque())
	case "rename":
		handle()
		p.name(s, w.opaque())
		handle()
		p.name(s, w.opaque())
	case "link":
		handle()
		handle()
		p.name(s, w.opaque())
	}
}

// nfs4Op returns the name of an operation of version 4 (RFC 7531, 5662, 7863, 8276), "" for none.
func nfs4Op(n uint64) string {
	return nameOf([]string{
		3: "access", 4: "close", 5: "commit", 6: "create", 7: "delegpurge", 8: "delegreturn", 9: "getattr", 10: "getfh", 11: "link", 12: "lock", 13: "lockt",
		14: "locku", 15: "lookup", 16: "lookupp", 17: "nverify", 18: "open", 19: "openattr", 20: "open_confirm", 21: "open_downgrade", 22: "putfh",
		23: "putpubfh", 24: "putrootfh", 25: "read", 26: "readdir", 27: "readlink", 28: "remove", 29: "rename", 30: "renew", 31: "restorefh", 32: "savefh",
		33: "secinfo", 34: "setattr", 35: "setclientid", 36: "setclientid_confirm", 37: "verify", 38: "write", 39: "release_lockowner",
		40: "backchannel_ctl", 41: "bind_conn_to_session", 42: "exchange_id", 43: "create_session", 44: "destroy_session", 45: "free_stateid",
		46: "get_dir_delegation", 47: "getdeviceinfo", 48: "getdevicelist", 49: "layoutcommit", 50: "layoutget", 51: "layoutreturn", 52: "secinfo_no_name",
		53: "sequence", 54: "set_ssv", 55: "test_stateid", 56: "want_delegation", 57: "destroy_clientid", 58: "reclaim_complete",
		59: "allocate", 60: "copy", 61: "copy_notify", 62: "deallocate", 63: "io_advise", 64: "layouterror", 65: "layoutstats", 66: "offload_cancel",
		67: "offload_status", 68: "read_plus", 69: "seek", 70: "write_same", 71: "clone", 72: "getxattr", 73: "setxattr", 74: "listxattrs", 75: "removexattr",
	}, int(min(n, 1000)))
}

// compound reads a COMPOUND: a list of operations. One whose arguments are not walked ends it.
func (p *nfsFields) compound(s *Session, procedure uint64, w *wire) {
	if procedure != 1 {
		s.Doc.AddString(p.version, "4")
		return
	}
	w.opaque() // a tag
	minor, count := w.be(4), w.be(4)
	if w.bad || minor > 9 {
		return
	}
	s.Doc.AddString(p.version, "4."+strconv.FormatUint(minor, 10))
	for range min(count, nfsMaxOps) {
		name := nfs4Op(w.be(4))
		if w.bad || name == "" {
			return
		}
		s.Doc.AddString(p.procedure, name)
		if !p.operation(s, name, w) {
			return
		}
	}
}

// operation takes the arguments of an operation (RFC 7531). It returns false when it does not know where they end.
func (p *nfsFields) operation(s *Session, name string, w *wire) bool {
	const stateID, verifier = 16, 8
	switch name {
	case "getfh", "lookupp", "putpubfh", "putrootfh", "readlink", "restorefh", "savefh":
	case "access", "openattr", "secinfo_no_name", "reclaim_complete":
		w.take(4)
	case "close":
		w.take(4 + stateID)
	case "commit":
		w.take(8 + 4)
	case "delegreturn", "free_stateid":
		w.take(stateID)
	case "getattr":
		p.bitmap(w)
	case "lookup", "remove", "secinfo", "link":
		p.name(s, w.opaque())
	case "rename":
		p.name(s, w.opaque())
		p.name(s, w.opaque())
	case "putfh":
		w.opaque()
	case "read", "read_plus", "seek":
		w.take(stateID + 8 + 4)
	case "write":
		w.take(stateID + 8 + 4)
		w.opaque()
	case "allocate", "deallocate":
		w.take(stateID + 8 + 8)
	case "clone":
		w.take(2*stateID + 3*8)
	case "verify", "nverify":
		p.attributes(w)
	case "open_downgrade":
		w.take(stateID + 3*4)
	case "setclientid_confirm":
		w.take(8 + verifier)
	case "delegpurge":
		w.take(8)
	case "readdir":
		w.take(8 + verifier + 4 + 4)
		p.bitmap(w)
	case "renew", "destroy_clientid":
		w.take(8)
	case "setattr":
		w.take(stateID)
		p.attributes(w)
	case "sequence":
		w.take(16 + 4*4)
	case "open_confirm":
		w.take(stateID + 4)
	case "create":
		return p.create(s, w)
	case "open":
		return p.open(s, w)
	default:
		return false
	}
	return !w.bad
}

func (p *nfsFields) bitmap(w *wire) {
	if n := w.be(4); n <= 8 {
		w.take(4 * int(n))
	} else {
		w.take(len(w.b) + 1)
	}
}

func (p *nfsFields) attributes(w *wire) {
	p.bitmap(w)
	w.opaque()
}

// create takes the arguments of CREATE: a kind, a name, attributes.
func (p *nfsFields) create(s *Session, w *wire) bool {
	switch w.be(4) {
	case 5: // a symbolic link
		w.opaque()
	case 3, 4: // a device
		w.take(8)
	}
	p.name(s, w.opaque())
	p.attributes(w)
	return !w.bad
}

// open takes the arguments of OPEN.
func (p *nfsFields) open(s *Session, w *wire) bool {
	w.take(4 + 4 + 4 + 8)
	w.opaque() // owner
	if w.be(4) == 1 {
		switch w.be(4) {
		case 0, 1:
			p.attributes(w)
		case 2:
			w.take(8)
		case 3:
			w.take(8)
			p.attributes(w)
		}
	}
	switch w.be(4) { // what is claimed
	case 0, 3: // by name, with a delegation before
		p.name(s, w.opaque())
	case 1:
		w.take(4)
	case 2:
		w.take(16)
		p.name(s, w.opaque())
	case 5: // the file at hand, with a delegation
		w.take(16)
	case 4, 6: // the file at hand
	default:
		return false
	}
	return !w.bad
}
