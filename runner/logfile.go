package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// slotBytes is the room kept between head and tail for the line that says what was dropped.
const slotBytes = 64

// cappedLog is a file of at most max bytes that keeps the head and the tail of what is written to it. Everything is
// written through, so what is there survives the runner's death. Until max is reached the file is simply the log.
// From then on the second half is a ring and a marker stands before it; close puts the ring in order.
type cappedLog struct {
	file  *os.File
	head  int64 // bytes before the marker's slot
	max   int64
	total int64 // bytes written to the log, kept or not
	err   error // the first error; nothing is written after it
	whole int64 // bytes in the file at that error
}

func openLog(dir, name string, max int64) (*cappedLog, error) {
	file, err := createLog(dir, name)
	if err != nil {
		return nil, err
	}
	return &cappedLog{file: file, head: max/2 - slotBytes/2, max: max}, nil
}

// createLog creates a file for the collector's group to read; one that is there already, a link above all, is an error.
func createLog(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, name)
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, fmt.Errorf("the log %s cannot be created: %w", path, err)
	}
	if err := syscall.Fchmod(fd, 0o640); err != nil { // whatever the umask is
		return nil, fmt.Errorf("the log %s cannot be created: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (l *cappedLog) ring() int64 { return l.head + slotBytes }
func (l *cappedLog) tail() int64 { return l.max - l.ring() }

// write never fails the caller: a full disk must not stop the algorithm. The error is kept.
func (l *cappedLog) write(data []byte) {
	for len(data) > 0 {
		if l.err != nil {
			l.total += int64(len(data))
			return
		}
		offset, room := l.total, l.max-l.total
		if l.total >= l.max {
			if l.total == l.max {
				l.mark("[… cut here; what follows is out of order …]")
			}
			position := (l.total - l.ring()) % l.tail()
			offset, room = l.ring()+position, l.tail()-position
		}
		chunk := data[:min(int64(len(data)), room)]
		if _, err := l.file.WriteAt(chunk, offset); err != nil {
			l.fail(err)
			continue
		}
		l.total += int64(len(chunk))
		data = data[len(chunk):]
	}
}

func (l *cappedLog) fail(err error) {
	l.err = err
	if info, err := l.file.Stat(); err == nil {
		l.whole = min(info.Size(), l.max)
	}
}

// mark fills the slot with one line.
func (l *cappedLog) mark(text string) {
	if _, err := l.file.WriteAt([]byte(fmt.Sprintf("\n%-*s\n", slotBytes-2-(len(text)-len([]rune(text))), text)), l.head); err != nil {
		l.fail(err)
	}
}

// kept is how many bytes of the log are in the file.
func (l *cappedLog) kept() int64 {
	if l.err != nil {
		return l.whole
	}
	if l.total <= l.max {
		return l.total
	}
	return l.head + l.tail()
}

// close puts head, marker and tail in order. An error means that the file is incomplete or its tail out of order.
func (l *cappedLog) close() error {
	defer l.file.Close()
	if l.err != nil || l.total <= l.max {
		return l.err
	}
	tail := make([]byte, l.tail())
	start := (l.total - l.ring()) % l.tail()
	if _, err := io.ReadFull(io.NewSectionReader(l.file, l.ring()+start, l.tail()-start), tail[:l.tail()-start]); err != nil {
		return err
	}
	if _, err := io.ReadFull(io.NewSectionReader(l.file, l.ring(), start), tail[l.tail()-start:]); err != nil {
		return err
	}
	l.mark(fmt.Sprintf("[… %d bytes dropped …]", l.total-l.kept()))
	if l.err != nil {
		return l.err
	}
	_, err := l.file.WriteAt(tail, l.ring())
	return err
}
