package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// source tells the streams apart in the combined log.
type source uint8

const (
	fromStdout source = iota
	fromStderr
	sources
)

var sourceNames = [sources]string{"stdout", "stderr"}

// combinedLog is combined.jsonl: both streams in the order in which they were read, one record a line, at most max bytes.
// Its first half is written through. What comes after that is kept as it came, in memory, the last of it only, and
// becomes records at the end: so a flood of output costs hardly more than copying it.
type combinedLog struct {
	mu      sync.Mutex
	file    *os.File
	max     int64
	limit   int   // of a line's text
	size    int64 // bytes in the file, whole records all of them
	partial [sources]partialLine
	tail    *rawTail // nil: the first half is not full yet
	buffer  []byte
	start   []byte // of a record, for the buffer
	bytes   int64  // given by the algorithm
	kept    int64  // of those, in records
	pending int64  // of those, in the buffer
	closed  bool
	err     error // the first error; nothing is written after it
}

func openCombined(dir string, max int64) (*combinedLog, error) {
	file, err := createLog(dir, "combined.jsonl")
	if err != nil {
		return nil, err
	}
	return &combinedLog{file: file, max: max, limit: int(min(maxRecordText, max/64))}, nil
}

// write takes what was read from a stream. It never fails the caller: a full disk must not stop the algorithm.
func (c *combinedLog) write(from source, when time.Time, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(data) == 0 {
		return
	}
	c.bytes += int64(len(data))
	if c.err != nil {
		return
	}
	if c.tail == nil {
		data = c.encode(from, when, data, c.max/2)
		c.flush()
		if c.size >= c.max/2 {
			c.tail = newRawTail(c.max / 2)
		}
	}
	if c.tail != nil {
		c.tail.push(from, when, data)
	}
}

// encode makes records of the lines that end in data, into the buffer, until the file would have `full` bytes, and
// returns the rest of data.
func (c *combinedLog) encode(from source, when time.Time, data []byte, full int64) []byte {
	partial := &c.partial[from]
	c.start = appendRecordStart(c.start[:0], when, sourceNames[from])
	for len(data) > 0 && c.size+int64(len(c.buffer)) < full {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			partial.add(data, c.limit)
			return nil
		}
		if partial.empty() && end <= c.limit {
			c.record(data[:end], 0)
		} else {
			partial.add(data[:end], c.limit)
			c.endLine(partial)
		}
		c.pending++ // the line's end
		data = data[end+1:]
	}
	return data
}

func (c *combinedLog) record(text []byte, more int64) {
	c.buffer = appendRecord(c.buffer, c.start, text, more)
	c.pending += int64(len(text))
}

func (c *combinedLog) endLine(partial *partialLine) {
	text := partial.text
	if partial.more > 0 {
		cut := cutCharacter(text)
		text = text[:len(text)-cut]
		partial.more += int64(cut)
	}
	c.record(text, partial.more)
	partial.text, partial.more = partial.text[:0], 0
}

// flush writes the buffer to the file's end, all of it or nothing.
func (c *combinedLog) flush() {
	if len(c.buffer) == 0 || c.err != nil {
		return
	}
	if _, err := c.file.WriteAt(c.buffer, c.size); err != nil {
		c.err = err
		c.file.Truncate(c.size) // no half records; if that fails too there is nothing left to do
	} else {
		c.size += int64(len(c.buffer))
		c.kept += c.pending
	}
	c.buffer, c.pending = c.buffer[:0], 0
}

// close writes the tail, and before it a record that counts what is missing. An error means that the file is incomplete.
func (c *combinedLog) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	defer c.file.Close()
	if c.tail != nil {
		c.closeTail()
	}
	for from := range sources {
		c.endUnfinished(from)
	}
	c.flush()
	return c.err
}

// endUnfinished makes a record of a line that has no end.
func (c *combinedLog) endUnfinished(from source) {
	if partial := &c.partial[from]; !partial.empty() {
		c.start = appendRecordStart(c.start[:0], time.Now(), sourceNames[from])
		c.endLine(partial)
	}
}

func (c *combinedLog) closeTail() {
	room := c.max - c.size - recordFrame - recordNote // for the record of what was dropped
	for from := range sources {
		// An unfinished line before the tail, and one at its end.
		room -= int64(byteEscape*len(c.partial[from].text)) + 2*(recordFrame+recordNote)
	}
	c.tail.fit(room, c.limit)
	var dropped int64
	for from := range sources {
		if c.tail.dropped[from] > 0 { // an unfinished line ends here: its rest is missing
			partial := &c.partial[from]
			if partial.more == 0 {
				cut := cutCharacter(partial.text)
				partial.text = partial.text[:len(partial.text)-cut]
				dropped += int64(cut)
			}
			c.endUnfinished(from)
		}
		dropped += c.tail.dropped[from]
	}
	if dropped > 0 {
		pending := c.pending
		c.start = appendRecordStart(c.start[:0], time.Now(), "runner")
		c.record(fmt.Appendf(nil, "[… %d bytes dropped …]", dropped), 0)
		c.pending = pending // it is not the algorithm's
	}
	c.tail.each(func(from source, when time.Time, data []byte) {
		for part := range slices.Chunk(data, maxRecordText) { // so that the buffer stays small
			c.encode(from, when, part, c.max)
			c.flush()
		}
	})
	// The ring is the runner's largest piece of memory, and the other logs need as much to close.
	c.tail = nil
	runtime.GC()
}
