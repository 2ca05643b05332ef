package telemetry

import (
	"runtime"
	"runtime/debug"
)

// Build says which program this is.
type Build struct {
	Version string `json:"version"` // "v1.2.3", or "devel" when not built from a tag
	Commit  string `json:"commit"`  // of the source, "+dirty" when it was changed; may be empty
	Go      string `json:"go"`      // toolchain
}

// ReadBuild returns what the toolchain recorded. A version that the linker set
// (-ldflags "-X main.version=v1.2.3") wins when it is not empty.
func ReadBuild(linked string) Build {
	b := Build{Version: linked, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if ok {
		dirty := ""
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.modified":
				if s.Value == "true" {
					dirty = "+dirty"
				}
			}
		}
		if b.Commit != "" {
			b.Commit += dirty
		}
		if b.Version == "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}
