package query

import (
	"net/http"
	"sort"

	"wirelake/internal/spi"
)

// fieldInfo describes a field as Arkime's /api/fields does.
type fieldInfo struct {
	FriendlyName string   `json:"friendlyName"`
	Group        string   `json:"group"`
	Help         string   `json:"help"`
	Exp          string   `json:"exp"`
	DBField      string   `json:"dbField"`
	DBField2     string   `json:"dbField2"`
	Type         string   `json:"type"`
	Aliases      []string `json:"aliases,omitempty"`
}

// fields answers /api/fields with a list; array=false asks for a map by expression name.
func (a *API) fields(w http.ResponseWriter, r *http.Request) {
	list := fieldList(a.Registry)
	if v := r.URL.Query().Get("array"); v == "false" || v == "0" {
		byName := make(map[string]fieldInfo, len(list))
		for _, f := range list {
			byName[f.Exp] = f
		}
		a.writeJSON(w, r, http.StatusOK, byName)
		return
	}
	a.writeJSON(w, r, http.StatusOK, list)
}

func fieldList(reg *spi.Registry) []fieldInfo {
	var out []fieldInfo
	for i := range reg.Fields() {
		f := &reg.Fields()[i]
		info := fieldInfo{FriendlyName: f.Name, Group: f.Group, Help: f.Help, Exp: f.Expr(), DBField: f.Path, DBField2: f.Path, Type: f.Type.String()}
		if info.Exp == "" {
			info.Exp = "db:" + f.Path
		}
		if len(f.Exprs) > 1 {
			info.Aliases = f.Exprs[1:]
		}
		out = append(out, info)
	}
	kind := map[string]string{"ip": "ip", "port": "integer", "mac": "lotermfield", "country": "uptermfield", "host": "lotermfield", "asn": "termfield", "oui": "termfield", "rir": "termfield"}
	for name, help := range spi.FanOutNames() {
		if len(reg.ByExpr(name)) > 0 {
			out = append(out, fieldInfo{FriendlyName: "All " + name + " fields", Group: "general", Help: help, Exp: name, DBField: name + "all", Type: kind[name]})
		}
	}
	for _, side := range []struct{ name, friendly string }{{"payload8", "Payload of either side"}, {"payload8.src", "Src payload"}, {"payload8.dst", "Dst payload"}} {
		out = append(out, fieldInfo{FriendlyName: side.friendly + " as text", Group: "general", Help: "first 8 payload bytes, written as text", Exp: side.name, Type: "termfield"})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Exp < out[j].Exp })
	return out
}
