package main

import (
	"bytes"
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

// write looks at data from its end: of much output only the last lines are worth the time.
func (l *lastLine) write(data []byte) {
	end := lastBreak(data)
	if end < 0 {
		l.add(data)
		return
	}
	rest := data[end+1:]
	for found := false; !found && end >= 0; {
		data = data[:end]
		if end = lastBreak(data); end >= 0 {
			found = l.replace(data[end+1:])
		} else { // the line began earlier
			l.add(data)
			l.end()
		}
	}
	l.current = l.current[:0]
	l.add(rest)
}

// lastBreak is where the last line end in data is, or -1.
func lastBreak(data []byte) int {
	i := len(data) - 1
	for i >= 0 && data[i] != '\n' && data[i] != '\r' {
		i--
	}
	return i
}

// add appends to the current line. A line of blanks is blank.
func (l *lastLine) add(data []byte) {
	if len(l.current) == 0 {
		data = bytes.TrimLeft(data, " \t")
	}
	l.current = append(l.current, data[:min(len(data), maxLineBytes-len(l.current))]...)
}

// end makes the current line the last one, if it is not blank.
func (l *lastLine) end() {
	if len(l.current) > 0 {
		l.last = append(l.last[:0], l.current...)
	}
}

// replace makes a whole line the last one, if it is not blank.
func (l *lastLine) replace(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	if len(line) > 0 {
		l.last = append(l.last[:0], line[:min(len(line), maxLineBytes)]...)
	}
	return len(line) > 0
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
