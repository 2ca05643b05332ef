package dissect

// EarlyBytes bounds what the sessions of a lane keep, all together, of the pieces of files that came before the bytes in
// front of them. Servers of files answer many requests at once, in any order, with up to 8 MiB each: too much to allow
// every session, and needed by few at a time. It is not safe for concurrent use.
type EarlyBytes struct {
	Max  int // of the lane
	held int
}

const (
	maxEarlyBytes = 16 << 20  // of a file
	ownEarlyBytes = 192 << 10 // of a file, of the session's own limit, where no lane gives more
)

// maxEarly returns how much of a file may wait.
func (s *Session) maxEarly() int {
	if s.Early == nil {
		return ownEarlyBytes
	}
	return maxEarlyBytes
}

// holdEarly is [Session.Hold] for pieces of files that wait, which count towards what the lane has for them.
func (s *Session) holdEarly(n int) bool {
	if s.Early == nil {
		return s.Hold(n)
	}
	if s.parsers[s.at].done {
		return n <= 0
	}
	if n > 0 && s.Early.held+n > s.Early.Max {
		return false
	}
	s.Early.held += n
	s.early += n
	s.parsers[s.at].early += n
	return true
}

// dropEarly lets go of what waits for a parser.
func (s *Session) dropEarly(a *attached) {
	if s.Early != nil {
		s.Early.held -= a.early
	}
	s.early -= a.early
	a.early = 0
}
