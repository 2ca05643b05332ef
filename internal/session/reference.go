package session

// lookLimit is how many idle sessions of a kind the reference closes at one
// look: 10 for each of its two packet threads.
const lookLimit = 20

// look does what the reference does before each packet, with the time of the
// packet before: it closes sessions that have ended, then those idle for too long, the
// longest first and not all at once, then saves every TCP session that has been
// open for too long. So a session whose two times are due at once is
// closed, or saved and closed later without further packets. That a packet comes
// late closes nothing by itself.
func (b *Builder) look() {
	now := b.newest / 1e9
	if now == b.looked {
		return
	}
	b.looked = now
	ended := &b.lists[kindEnded]
	for f, next := ended.next, (*flow)(nil); f != ended; f = next {
		next = f.next
		if f.closedAt/1e9+int64(b.cfg.TCPCloseLag.Seconds()) < now {
			b.close(f)
		}
	}
	for k := range b.lists[:kindEnded] {
		list := &b.lists[k]
		for n := 0; list.next != list && list.next.newest/1e9+b.idle[k]/1e9 < now; n++ {
			if n == lookLimit {
				b.looked = 0 // go on at the next packet
				break
			}
			b.close(list.next)
		}
	}
	age := int64(b.cfg.SegmentAge.Seconds())
	if b.oldest+age >= now {
		return
	}
	b.oldest = now
	tcp := &b.lists[kindTCP]
	for f := tcp.next; f != tcp; f = f.next {
		if f.segStart/1e9+age < now {
			b.save(f, false)
			f.segStart = b.newest
		}
		b.oldest = min(b.oldest, f.segStart/1e9)
	}
}
