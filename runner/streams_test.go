package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestStreamsAreKeptApart(t *testing.T) {
	r := newJob(t, "/bin/sh", "-c", `echo out; echo err >&2; printf '\033[31mlast\tline\377\n\n  \n' >&2`).run()
	record := r.ended(t, 0)
	if r.stdout != "out\n" || r.outLog != r.stdout {
		t.Errorf("stdout %q, file %q", r.stdout, r.outLog)
	}
	if want := "err\n\x1b[31mlast\tline\xff\n\n  \n"; r.stderr != want || r.errLog != want {
		t.Errorf("stderr %q, file %q", r.stderr, r.errLog)
	}
	if record.LastStderrLine != "\ufffd[31mlast line\ufffd" {
		t.Errorf("%q", record.LastStderrLine)
	}
}

func TestSilentKeepsTheLogOutOfTheContainers(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "echo out; echo err >&2; sleep 30")
	j.settings["logs"].(settings)["silent"] = true
	j.settings["limitSeconds"], j.settings["reserveSeconds"] = 4, 3
	r := j.run()
	record := r.ended(t, exitTimeLimit)
	if r.stdout != "" || r.stderr != "" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	if r.outLog != "out\n" || r.errLog != "err\nTime limit exceeded\n" || record.LastStderrLine != "Time limit exceeded" {
		t.Errorf("%q %q %q", r.outLog, r.errLog, record.LastStderrLine)
	}
}

func TestLogFilesAreForTheGroup(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	j := newJob(t, "/bin/true")
	j.run().ended(t, 0)
	for _, name := range []string{"stdout.log", "stderr.log", "combined.jsonl"} {
		info, err := os.Stat(j.logPath(name))
		must(t, err)
		if info.Mode() != 0o640 {
			t.Errorf("%s: %v", name, info.Mode())
		}
	}
}

func TestLogsAreCapped(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "seq 1 200000; seq 1 10 >&2")
	r := j.run()
	record := r.ended(t, 0)
	total := len(r.stdout) // the runner's own stdout has everything
	if record.Stdout.Bytes != int64(total) || len(r.outLog) != 65536 || record.Stdout.Kept != 65536-slotBytes {
		t.Errorf("%d bytes, file %d, %+v", total, len(r.outLog), record.Stdout)
	}
	marker := fmt.Sprintf("[… %d bytes dropped …]", record.Stdout.Bytes-record.Stdout.Kept)
	if !strings.HasPrefix(r.outLog, "1\n2\n3\n") || !strings.HasSuffix(r.outLog, "\n199999\n200000\n") || strings.Count(r.outLog, marker) != 1 {
		t.Errorf("%q … %q", r.outLog[:50], r.outLog[len(r.outLog)-50:])
	}
	if record.Stderr.Bytes != 21 || record.Stderr.Kept != 21 {
		t.Errorf("%+v", record.Stderr)
	}
}

func TestGrandchildHoldingThePipeDoesNotHang(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "sleep 30 & (sleep 0.5; echo late) & echo early; exit 2")
	r := j.run()
	record := r.ended(t, 2)
	if r.took < lingerTime || r.took > lingerTime+1500*time.Millisecond || record.RanSeconds > 1 {
		t.Errorf("took %v, ran %v", r.took, record.RanSeconds)
	}
	if r.stdout != "early\nlate\n" || r.outLog != r.stdout {
		t.Errorf("%q %q", r.stdout, r.outLog)
	}
}

// The capped log against its definition, for every way to cut the same bytes into writes.
func TestCappedLog(t *testing.T) {
	const limit = 2000
	random := rand.New(rand.NewSource(1))
	for _, size := range []int{0, 1, limit - 1, limit, limit + 1, limit + 968, 2 * limit, 10*limit + 7} {
		for try := range 20 {
			dir := t.TempDir()
			log, err := openLog(dir, "log", limit)
			must(t, err)
			data := make([]byte, size)
			for i := range data {
				data[i] = byte('a' + random.Intn(26))
			}
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+random.Intn(1+limit*(try%3+1)))
				log.write(rest[:n])
				rest = rest[n:]
			}
			must(t, log.close())
			got, err := os.ReadFile(filepath.Join(dir, "log"))
			must(t, err)
			want := data
			if size > limit {
				kept := limit - slotBytes
				text := fmt.Sprintf("[… %d bytes dropped …]", size-kept)
				marker := "\n" + text + strings.Repeat(" ", slotBytes-2-len(text)) + "\n"
				want = bytes.Join([][]byte{data[:kept/2], []byte(marker), data[size-kept/2:]}, nil)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("size %d: %d bytes, want %d\n%q\n%q", size, len(got), len(want), got, want)
			}
			wantKept := int64(size)
			if size > limit {
				wantKept = limit - slotBytes
			}
			if log.kept() != wantKept {
				t.Errorf("size %d: kept %d", size, log.kept())
			}
		}
	}
}

func TestFullDiskDoesNotStopTheAlgorithm(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small file system can be mounted by root alone")
	}
	j := newJob(t, "/bin/sh", "-c", "seq 1 200000; exit 8")
	dir := filepath.Join(j.dir, "logs")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32k"); err != nil {
		t.Skipf("tmpfs cannot be mounted here: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	r := j.run()
	record := r.ended(t, 8)
	if !strings.HasSuffix(r.stdout, "\n200000\n") || !strings.Contains(r.stderr, "the log file of stdout is not complete") {
		t.Errorf("%d bytes, %q", len(r.stdout), r.stderr)
	}
	if record.Stdout.Bytes != int64(len(r.stdout)) || record.Stdout.Kept != int64(len(r.outLog)) {
		t.Errorf("%+v, stdout %d, file %d", record.Stdout, len(r.stdout), len(r.outLog))
	}
}

func TestLastLine(t *testing.T) {
	for input, want := range map[string]string{
		"":                                     "",
		"\n \t\n":                              "",
		"a\nb":                                 "b",
		"a\nb\n\n":                             "b",
		" 10%\r 20%\r 30%":                     "30%",
		"x\u202ey\n":                           "x\ufffdy",
		strings.Repeat("ä", 2000) + "\n":       strings.Repeat("ä", 512),
		strings.Repeat("\x01\xff", 600) + "z":  strings.Repeat("\ufffd", 341),
		"first\n" + strings.Repeat("\n", 5000): "first",
		"one\ntwo\n \nthree":                   "three",
		"one\n  two":                           "two",
		"one\ntwo \r\n":                        "two",
		strings.Repeat("x", 3000) + "\n\n \n":  strings.Repeat("x", 1024),
	} {
		for _, step := range []int{1, 3, 100000} {
			var line lastLine
			for rest := []byte(input); len(rest) > 0; rest = rest[min(step, len(rest)):] {
				line.write(rest[:min(step, len(rest))])
			}
			if got := line.text(); got != want || len(got) > maxLineBytes || !utf8.ValidString(got) {
				t.Errorf("%.20q: %.60q, want %.60q", input, got, want)
			}
		}
	}
}
