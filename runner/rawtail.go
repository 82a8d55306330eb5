package main

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// rawTail is the end of what was read from the streams, as it came, in a ring of a fixed size.
type rawTail struct {
	ring    []byte
	start   int // where the oldest byte is
	length  int
	pieces  []piece
	dropped [sources]int64
	inLine  [sources]bool // what was dropped last was not the end of a line
	skip    [sources]int  // bytes that are dropped but still in the ring
}

// piece is what was read at once, or within mergeTime.
type piece struct {
	when   time.Time
	from   source
	length int
}

const (
	mergeTime = time.Millisecond
	// minPieceBytes bounds the number of pieces, by the ring's size.
	minPieceBytes = 64
)

func newRawTail(size int64) *rawTail {
	return &rawTail{ring: make([]byte, size)}
}

func (t *rawTail) push(from source, when time.Time, data []byte) {
	if over := len(data) - len(t.ring); over > 0 {
		for len(t.pieces) > 0 {
			t.shift(t.pieces[0].length)
		}
		t.drop(from, data[:over])
		data = data[over:]
	}
	if len(data) == 0 {
		return
	}
	for over := t.length + len(data) - len(t.ring); over > 0; over = t.length + len(data) - len(t.ring) {
		t.shift(min(over, t.pieces[0].length))
	}
	for len(t.pieces) > len(t.ring)/minPieceBytes {
		t.shift(t.pieces[0].length)
	}
	end := (t.start + t.length) % len(t.ring)
	copied := copy(t.ring[end:], data)
	copy(t.ring, data[copied:])
	t.length += len(data)
	if last := len(t.pieces) - 1; last >= 0 && t.pieces[last].from == from && when.Sub(t.pieces[last].when) < mergeTime {
		t.pieces[last].length += len(data)
	} else {
		t.pieces = append(t.pieces, piece{when, from, len(data)})
	}
}

func (t *rawTail) drop(from source, data []byte) {
	if len(data) > 0 {
		t.dropped[from] += int64(len(data))
		t.inLine[from] = data[len(data)-1] != '\n'
	}
}

// shift drops the first n bytes of the oldest piece.
func (t *rawTail) shift(n int) {
	oldest := &t.pieces[0]
	first, second := t.slices(0, n)
	t.drop(oldest.from, first)
	t.drop(oldest.from, second)
	t.start, t.length = (t.start+n)%len(t.ring), t.length-n
	if oldest.length -= n; oldest.length == 0 {
		t.pieces = t.pieces[1:]
	}
}

// slices are n bytes of the ring, from the given distance to the oldest one on.
func (t *rawTail) slices(from, n int) (first, second []byte) {
	begin := (t.start + from) % len(t.ring)
	if begin+n <= len(t.ring) {
		return t.ring[begin : begin+n], nil
	}
	return t.ring[begin:], t.ring[:n-(len(t.ring)-begin)]
}

// fit drops the oldest so that the records of the rest take no more than room bytes when lines are cut at limit, and the
// rest of lines whose beginning was dropped.
func (t *rawTail) fit(room int64, limit int) {
	cost := recordCost{}
	for keep := t.length; keep > 0; keep-- {
		if (t.length-keep)%limit == 0 {
			cost.bytes += recordNote // for each line that is cut there are so many bytes
		}
		cost.add(t.ring[(t.start+keep-1)%len(t.ring)])
		if cost.bytes > room {
			t.keep(keep)
			return
		}
	}
	t.keep(0)
}

// keep drops the first n bytes and marks for skipping what is left of lines that began in them.
func (t *rawTail) keep(n int) {
	for n > 0 {
		some := min(n, t.pieces[0].length)
		t.shift(some)
		n -= some
	}
	at := 0
	for _, p := range t.pieces {
		first, second := t.slices(at, p.length)
		for _, data := range [][]byte{first, second} {
			if t.inLine[p.from] {
				rest := data[:bytes.IndexByte(data, '\n')+1]
				if len(rest) == 0 {
					rest = data
				}
				t.skip[p.from] += len(rest)
				t.drop(p.from, rest)
			}
		}
		at += p.length
	}
}

// each gives the pieces, oldest first.
func (t *rawTail) each(give func(from source, when time.Time, data []byte)) {
	at := 0
	for _, p := range t.pieces {
		first, second := t.slices(at, p.length)
		for _, data := range [][]byte{first, second} {
			skipped := min(t.skip[p.from], len(data))
			t.skip[p.from] -= skipped
			give(p.from, p.when, data[skipped:])
		}
		at += p.length
	}
}

// recordCost is an upper bound of what bytes become as records, when they are given last first.
type recordCost struct {
	bytes  int64
	end    [utf8.UTFMax]byte // of a character that is not ASCII, the last `length` bytes
	length int
}

func (c *recordCost) add(b byte) {
	if b < utf8.RuneSelf || c.length == utf8.UTFMax {
		c.bytes += int64(byteEscape * c.length) // not UTF-8
		c.length = 0
	}
	switch {
	case b == '\n':
		c.bytes += recordFrame
	case plain[b]:
		c.bytes++
	case b < utf8.RuneSelf:
		c.bytes += byteEscape
	default:
		c.length++
		c.end[utf8.UTFMax-c.length] = b
		if utf8.Valid(c.end[utf8.UTFMax-c.length:]) {
			c.bytes += int64(c.length)
			c.length = 0
		}
	}
}
