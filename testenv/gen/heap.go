package main

type flowHeap []*flow

func less(a, b *flow) bool { return a.next < b.next || a.next == b.next && a.id < b.id }

func (h flowHeap) down(i int) {
	f := h[i]
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && less(h[c+1], h[c]) {
			c++
		}
		if !less(h[c], f) {
			break
		}
		h[i] = h[c]
		i = c
	}
	h[i] = f
}

func (h *flowHeap) push(f *flow) {
	*h = append(*h, f)
	i := len(*h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !less(f, (*h)[p]) {
			break
		}
		(*h)[i] = (*h)[p]
		i = p
	}
	(*h)[i] = f
}

func (h *flowHeap) popTop() {
	n := len(*h) - 1
	(*h)[0] = (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	if n > 0 {
		h.down(0)
	}
}
