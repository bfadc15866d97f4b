package layer

// headers is the stream as archive/tar reads it. What that reads between begin and
// end is headers, for it passes over content by Seek; headers that stand before
// others, which archive/tar does not tell of, count like any.
type headers struct {
	*pipe
	limit   int64
	taken   int64 // beyond what is free
	free    int64 // what is left of it for this entry
	reading bool
	err     error // sticky
}

// freeHeaders are an entry's own header, an extended one of a block, and what is
// left of the content before it.
const freeHeaders = 2048

func (h *headers) begin() { h.reading, h.free = true, freeHeaders }
func (h *headers) end()   { h.reading = false }

func (h *headers) Read(b []byte) (int, error) {
	if h.err != nil {
		return 0, h.err
	}
	n, err := h.pipe.Read(b)
	if h.reading {
		h.taken += max(0, int64(n)-h.free)
		h.free = max(0, h.free-int64(n))
		if h.taken > h.limit {
			h.err = &LimitError{Limit: "headers in total", Value: h.limit}
			return 0, h.err
		}
	}
	return n, err
}
