package main

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// A record of combined.jsonl is one line: {"t": RFC 3339 with nanoseconds, "s": stream, "m": text}. NUL bytes are left
// out of the text, bytes that are not UTF-8 stand in it as \xNN.

const (
	// maxRecordText is how many bytes of a line are kept; what is cut off is counted at its end.
	maxRecordText = 64 << 10
	// No record has more than the first besides its text, no note of what is missing is longer than the second, and no
	// byte becomes more than the third.
	recordFrame = 64
	recordNote  = 64
	byteEscape  = 6
)

// appendRecordStart appends what is the same for all lines that were read at once.
func appendRecordStart(to []byte, when time.Time, name string) []byte {
	to = append(to, `{"t":"`...)
	to = when.UTC().AppendFormat(to, "2006-01-02T15:04:05.000000000Z")
	to = append(to, `","s":"`...)
	to = append(to, name...)
	return append(to, `","m":"`...)
}

// appendRecord appends one record. `more` bytes of the line are not in text.
func appendRecord(to, start, text []byte, more int64) []byte {
	to = appendEscaped(append(to, start...), text)
	if more > 0 {
		to = append(to, " [… "...)
		to = strconv.AppendInt(to, more, 10)
		to = append(to, " bytes more …]"...)
	}
	return append(to, "\"}\n"...)
}

const hexDigits = "0123456789abcdef"

// plain bytes stand for themselves in a JSON string.
var plain = func() (table [256]bool) {
	for b := ' '; b < utf8.RuneSelf; b++ {
		table[b] = b != '"' && b != '\\'
	}
	return table
}()

func appendEscaped(to, text []byte) []byte {
	for i := 0; i < len(text); {
		begin := i
		for i < len(text) && plain[text[i]] {
			i++
		}
		to = append(to, text[begin:i]...)
		if i == len(text) {
			break
		}
		b := text[i]
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				to = append(to, '\\', '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
			} else {
				to = append(to, text[i:i+size]...)
			}
			i += size
			continue
		}
		switch b {
		case 0:
		case '"', '\\':
			to = append(to, '\\', b)
		case '\t':
			to = append(to, `\t`...)
		case '\r':
			to = append(to, `\r`...)
		default:
			to = append(to, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
		i++
	}
	return to
}

// partialLine is a line of which the end has not come yet.
type partialLine struct {
	text []byte
	more int64 // bytes beyond the limit
}

func (p *partialLine) empty() bool { return len(p.text) == 0 && p.more == 0 }

func (p *partialLine) add(data []byte, limit int) {
	room := min(len(data), limit-len(p.text))
	p.text = append(p.text, data[:room]...)
	p.more += int64(len(data) - room)
}

// cutCharacter is how many bytes at the end of text are the beginning of a character.
func cutCharacter(text []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if end := text[len(text)-back:]; utf8.RuneStart(end[0]) {
			if utf8.FullRune(end) {
				return 0
			}
			return back
		}
	}
	return 0
}
