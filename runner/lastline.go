package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxLineBytes = 1024

// lastLine remembers the last line that is not blank, at most its first 1024 bytes. A carriage return ends a line
// too: progress bars are many lines to a reader.
type lastLine struct {
	current []byte
	last    []byte
}

func (l *lastLine) write(data []byte) {
	for _, b := range data {
		switch {
		case b == '\n' || b == '\r':
			l.end()
		case len(l.current) == 0 && (b == ' ' || b == '\t'): // a line of blanks is blank
		case len(l.current) < maxLineBytes:
			l.current = append(l.current, b)
		}
	}
}

func (l *lastLine) end() {
	if len(l.current) > 0 {
		l.last = append(l.last[:0], l.current...)
		l.current = l.current[:0]
	}
}

// text is the line as printable UTF-8 of at most 1024 bytes: tabs become blanks, controls (terminal escapes, changes
// of direction) and invalid bytes become U+FFFD.
func (l *lastLine) text() string {
	line := l.last
	if len(l.current) > 0 {
		line = l.current
	}
	var out strings.Builder
	for _, r := range string(line) {
		switch {
		case r == '\t':
			r = ' '
		case !unicode.IsGraphic(r):
			r = utf8.RuneError
		}
		if out.Len()+utf8.RuneLen(r) > maxLineBytes {
			break
		}
		out.WriteRune(r)
	}
	return strings.TrimSpace(out.String())
}
