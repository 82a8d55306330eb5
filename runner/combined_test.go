package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// line is one record as a reader sees it.
type line struct {
	T, S, M string
}

func parseCombined(t *testing.T, text []byte) (lines []line) {
	t.Helper()
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Fatalf("no whole record at the end: %q", text[max(0, len(text)-100):])
	}
	previous := time.Time{}
	for one := range bytes.Lines(text) {
		var l line
		decoder := json.NewDecoder(bytes.NewReader(one))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&l); err != nil || !utf8.Valid(one) {
			t.Fatalf("%q: %v", one, err)
		}
		when, err := time.Parse(time.RFC3339Nano, l.T)
		if err != nil {
			t.Fatal(err)
		}
		if l.S != "runner" && when.Before(previous.Add(-time.Second)) {
			t.Errorf("%v after %v", when, previous)
		}
		previous = when
		lines = append(lines, l)
	}
	return lines
}

// combine writes the pieces, "1" or "2" for the stream and then the text, and returns the records.
func combine(t *testing.T, max int64, pieces ...string) ([]line, *combinedLog) {
	t.Helper()
	dir := t.TempDir()
	log, err := openCombined(dir, max)
	must(t, err)
	for _, piece := range pieces {
		log.write(source(piece[0]-'1'), time.Now(), []byte(piece[1:]))
	}
	must(t, log.close())
	log.write(fromStdout, time.Now(), []byte("too late\n"))
	text, err := os.ReadFile(filepath.Join(dir, "combined.jsonl"))
	must(t, err)
	if int64(len(text)) > max {
		t.Errorf("%d bytes, at most %d are allowed", len(text), max)
	}
	return parseCombined(t, text), log
}

func TestCombinedRecords(t *testing.T) {
	for _, c := range []struct {
		name   string
		pieces []string
		want   string
	}{
		{"lines of both", []string{"1a\nb\n", "2c\n", "1d\n"}, "stdout:a|stdout:b|stderr:c|stdout:d"},
		{"in pieces", []string{"1a", "2x", "1b\nc", "2y\n", "1d"}, "stdout:ab|stderr:xy|stdout:cd"},
		{"no end", []string{"1a", "2b"}, "stdout:a|stderr:b"},
		{"empty lines", []string{"1\n\n"}, "stdout:|stdout:"},
		{"nothing", nil, ""},
		{"NUL", []string{"1a\x00b\x00\n"}, "stdout:ab"},
		{"not UTF-8", []string{"1a\xff\xc3(\xe2\x82\n"}, `stdout:a\xff\xc3(\xe2\x82`},
		{"a character in pieces", []string{"1a\xe2", "1\x82\xac\n"}, "stdout:a€"},
		{"quotes and controls", []string{"1\"\\\t\r\x1b[31m\x7f\u2028\n"}, "stdout:\"\\\t\r\x1b[31m\x7f\u2028"},
	} {
		lines, log := combine(t, 1<<20, c.pieces...)
		var got []string
		bytes := int64(0)
		for _, l := range lines {
			got = append(got, l.S+":"+l.M)
		}
		for _, piece := range c.pieces {
			bytes += int64(len(piece) - 1)
		}
		if strings.Join(got, "|") != c.want || log.bytes != bytes || log.kept != bytes {
			t.Errorf("%s: %q, %d bytes, %d kept", c.name, got, log.bytes, log.kept)
		}
	}
}

func TestCombinedCutsLongLines(t *testing.T) {
	whole := strings.Repeat("x", maxRecordText)
	lines, log := combine(t, 4<<20, "1"+whole+"\n", "1"+whole[:10], "1"+whole+"yyy\nshort\n", "2"+whole[1:]+"€€\n", "2"+whole+"no end")
	want := []string{whole, whole + " [… 13 bytes more …]", "short", whole[1:] + " [… 6 bytes more …]", whole + " [… 6 bytes more …]"}
	for i, l := range lines {
		if i >= len(want) || l.M != want[i] {
			t.Errorf("%d: %d bytes, ends in %q", i, len(l.M), l.M[max(0, len(l.M)-30):])
		}
	}
	if len(lines) != len(want) || log.bytes-log.kept != 13+6+6 {
		t.Errorf("%d records, %d of %d bytes kept", len(lines), log.kept, log.bytes)
	}
}

var dropped = regexp.MustCompile(`^\[… (\d+) bytes dropped …\]$`)

// What is kept is a head and a tail of what was written, in whole lines, and every byte is accounted for; whatever the
// text is, however it comes, and whatever the limit.
func TestCombinedIsCapped(t *testing.T) {
	random := rand.New(rand.NewSource(2))
	letters := map[string]func() string{
		"text":     func() string { return string(rune('a' + random.Intn(26))) },
		"escapes":  func() string { return string(rune(1 + random.Intn(8))) },
		"binary":   func() string { return string([]byte{byte(11 + random.Intn(245))}) },
		"wide":     func() string { return []string{"€", "ä", "█", "漢", "😀"}[random.Intn(5)] },
		"newlines": func() string { return []string{"", "x"}[random.Intn(2)] },
	}
	for name, letter := range letters {
		for _, limit := range []int64{minLogBytes, 7000, 65536} {
			for _, lineLength := range []int{1, 30, 3000} {
				for try := range 4 {
					var streams [sources][]string
					var pieces []string
					rest := [sources]string{}
					for size := 0; size < int(limit)*3; {
						from := random.Intn(2) * (try % 2)
						var text strings.Builder
						for range 1 + random.Intn(max(1, lineLength)) {
							text.WriteString(letter())
						}
						streams[from] = append(streams[from], text.String())
						rest[from] += text.String() + "\n"
						size += text.Len() + 1
						for len(rest[from]) > 100 || size >= int(limit)*3 && rest[from] != "" {
							n := 1 + random.Intn(len(rest[from]))
							pieces = append(pieces, string(rune('1'+from))+rest[from][:n])
							rest[from] = rest[from][n:]
						}
					}
					for from, text := range rest {
						if text != "" {
							pieces = append(pieces, string(rune('1'+from))+text)
						}
					}
					lines, log := combine(t, limit, pieces...)
					what := fmt.Sprintf("%s, limit %d, lines of %d, try %d", name, limit, lineLength, try)
					checkCapped(t, what, lines, log, streams)
				}
			}
		}
	}
}

func checkCapped(t *testing.T, what string, lines []line, log *combinedLog, streams [sources][]string) {
	t.Helper()
	mark := slices.IndexFunc(lines, func(l line) bool { return l.S == "runner" })
	number := []string{"", "0"}
	if mark < 0 {
		mark = len(lines) // all of it may fit when long lines are cut
	} else if number = dropped.FindStringSubmatch(lines[mark].M); number == nil || number[1] == "0" {
		t.Errorf("%s: %q", what, lines[mark].M)
		return
	}
	for from := range sources {
		head, tail := textsOf(lines[:mark], sourceNames[from]), textsOf(lines[min(mark+1, len(lines)):], sourceNames[from])
		written := streams[from]
		for i, text := range head {
			// The last line of the head may have lost its rest, a long one its end.
			if want := clean(written[i]); text != want && !isCut(text, want) && (i < len(head)-1 || !strings.HasPrefix(want, text)) {
				t.Errorf("%s: head %d is %.60q, want %.60q", what, i, text, want)
			}
		}
		for i, text := range tail {
			if want := clean(written[len(written)-len(tail)+i]); text != want && !isCut(text, want) {
				t.Errorf("%s: tail %d of %d is %.60q, want %.60q", what, i, len(tail), text, want)
			}
		}
	}
	if log.kept <= 0 || log.kept >= log.bytes {
		t.Errorf("%s: %d of %d bytes kept", what, log.kept, log.bytes)
	}
	// What was dropped, what was cut from lines, and what was kept is all.
	cut := int64(0)
	for _, l := range lines {
		if m := more.FindStringSubmatch(l.M); m != nil {
			var n int64
			fmt.Sscan(m[2], &n)
			cut += n
		}
	}
	var n int64
	fmt.Sscan(number[1], &n)
	if n+cut+log.kept != log.bytes {
		t.Errorf("%s: %d dropped, %d cut, %d kept of %d", what, n, cut, log.kept, log.bytes)
	}
}

var more = regexp.MustCompile(`(?s)^(.*) \[… (\d+) bytes more …\]$`)

func isCut(text, want string) bool {
	m := more.FindStringSubmatch(text)
	return m != nil && strings.HasPrefix(want, m[1])
}

func textsOf(lines []line, stream string) (texts []string) {
	for _, l := range lines {
		if l.S == stream {
			texts = append(texts, l.M)
		}
	}
	return texts
}

// clean is the text that a line becomes, by its definition.
func clean(text string) string {
	var out strings.Builder
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&out, `\x%02x`, text[i])
		} else if r != 0 {
			out.WriteRune(r)
		}
	}
	return out.String()
}

func TestCombinedUsesItsRoom(t *testing.T) {
	dir := t.TempDir()
	log, err := openCombined(dir, 1<<20)
	must(t, err)
	for i := range 100_000 {
		log.write(fromStdout, time.Now(), fmt.Appendf(nil, "line %d of a log as logs are, with some eighty characters in it: █ 0.123456789\n", i))
	}
	must(t, log.close())
	info, err := os.Stat(filepath.Join(dir, "combined.jsonl"))
	must(t, err)
	if info.Size() > 1<<20 || info.Size() < 1<<20*9/10 {
		t.Errorf("%d bytes", info.Size())
	}
}

func TestCombinedOfARun(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three")
	r := j.run()
	record := r.ended(t, 0)
	lines := parseCombined(t, []byte(j.read("combined.jsonl")))
	if len(lines) != 3 || lines[0].S+lines[0].M != "stdoutone" || lines[1].S+lines[1].M != "stderrtwo" || lines[2].M != "three" {
		t.Errorf("%+v", lines)
	}
	if record.Combined == nil || *record.Combined != (streamRecord{13, 13}) {
		t.Errorf("%+v", record.Combined)
	}

	j = newJob(t, "/bin/sh", "-c", "seq 1 200000; seq 1 10 >&2")
	r = j.run()
	record = r.ended(t, 0)
	text := j.read("combined.jsonl")
	lines = parseCombined(t, []byte(text))
	if len(text) > 65536 || record.Combined.Bytes != int64(len(r.stdout)+len(r.stderr)) || record.Combined.Kept > 65536 {
		t.Errorf("%d bytes, %+v", len(text), record.Combined)
	}
	if lines[0].M != "1" || !slices.ContainsFunc(lines, func(l line) bool { return l.S == "stdout" && l.M == "200000" }) {
		t.Errorf("%+v … %+v", lines[0], lines[len(lines)-1])
	}
}

func BenchmarkCombined(b *testing.B) {
	text := []byte(strings.Repeat("a log line of about eighty characters, as most of them are, and no more: 12345\n", 800))
	log, err := openCombined(b.TempDir(), 16<<20)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		log.write(fromStdout, time.Now(), text)
	}
	log.close()
}

func BenchmarkRecords(b *testing.B) {
	text := []byte("a log line of about eighty characters, as most of them are, and no more: 12345")
	start, buffer := appendRecordStart(nil, time.Now(), "stdout"), []byte{}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		buffer = appendRecord(buffer[:0], start, text, 0)
	}
}
