package main

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	pipeBytes = 256 << 10 // what the algorithm may be ahead of the runner, if the kernel grants it
	readBytes = 128 << 10
	// After a read of less than smallRead the next one waits a moment, for more to come: a program that writes line by
	// line would have the runner do so too. Not with a pipe that fills up in that moment.
	smallRead  = 8 << 10
	gatherTime = time.Millisecond

	fcntlSetPipeSize = 1031 // F_SETPIPE_SZ
)

// noticeTime is how long the reader of the container's stderr may keep the runner waiting.
const noticeTime = 500 * time.Millisecond

// stream carries one output of the algorithm: from a pipe to the runner's own descriptor and to a capped file.
type stream struct {
	source   int  // our end of the pipe
	roomy    bool // the pipe has pipeBytes
	childEnd uintptr
	sink     *os.File      // nil: nothing is passed on
	ended    chan struct{} // closed at end of file
	from     source
	combined *combinedLog

	mu     sync.Mutex
	log    *cappedLog
	last   lastLine
	closed bool
}

// streams are the algorithm's stdout and stderr, kept apart.
type streams struct {
	out, err *stream
	combined *combinedLog
}

func openStreams(cfg logsConfig) (*streams, error) {
	combined, err := openCombined(cfg.Dir, cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	out, err := openStream(cfg, fromStdout, os.Stdout, combined)
	if err != nil {
		return nil, err
	}
	errs, err := openStream(cfg, fromStderr, os.Stderr, combined)
	if err != nil {
		return nil, err
	}
	return &streams{out, errs, combined}, nil
}

func openStream(cfg logsConfig, from source, sink *os.File, combined *combinedLog) (*stream, error) {
	name := sourceNames[from] + ".log"
	if cfg.Silent {
		sink = nil
	}
	log, err := openLog(cfg.Dir, name, cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("a pipe for %s: %w", name, err)
	}
	size, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(ends[0]), fcntlSetPipeSize, pipeBytes) // or it stays as it is
	return &stream{
		source: ends[0], roomy: errno == 0 && size >= pipeBytes, childEnd: uintptr(ends[1]),
		sink: sink, log: log, ended: make(chan struct{}), from: from, combined: combined,
	}, nil
}

// closeChildEnds is called when the child has its copies; without it the pipes would never end.
func (s *streams) closeChildEnds() {
	syscall.Close(int(s.out.childEnd))
	syscall.Close(int(s.err.childEnd))
}

// pump starts carrying.
func (s *streams) pump() {
	go s.out.pump()
	go s.err.pump()
}

func (s *stream) pump() {
	defer close(s.ended)
	buffer := make([]byte, readBytes)
	for {
		// Not by Go's poller, which every write of the algorithm would wake, also while nobody reads.
		n, err := syscall.Read(s.source, buffer)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		s.write(buffer[:n])
		if n < smallRead && s.roomy {
			time.Sleep(gatherTime)
		}
	}
}

// write keeps the data and passes it on. The descriptor comes last and outside of the lock: its reader may be slow.
func (s *stream) write(data []byte) {
	s.keep(data)
	if s.sink != nil {
		s.sink.Write(data) // nobody may be reading; the file has it
	}
}

func (s *stream) keep(data []byte) {
	s.combined.write(s.from, time.Now(), data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.log.write(data)
	if s.from == fromStderr { // nobody asks for the last line of the other
		s.last.write(data)
	}
}

// notice adds a line of the runner's own to stderr, where the algorithm's owner looks. It is called between a limit
// and what enforces it, so it waits only a moment for whoever reads the container's stderr.
func (s *streams) notice(text string) {
	line := []byte(text + "\n")
	s.err.keep(line)
	if s.err.sink == nil {
		return
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.err.sink.Write(line)
	}()
	select {
	case <-written:
	case <-time.After(noticeTime):
	}
}

// drained waits for the end of both pipes. False: something still holds one.
func (s *streams) drained(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for _, one := range []*stream{s.out, s.err} {
		select {
		case <-one.ended:
		case <-timer.C:
			return false
		}
	}
	return true
}

// finish closes the files and writes into the record what they hold.
func (s *streams) finish(r *exitRecord) {
	r.LastStderrLine = s.err.lastLine()
	if err := s.combined.close(); err != nil {
		say("the log file of both streams is not complete: %v", err)
	}
	r.Stdout = s.out.finish("stdout")
	r.Stderr = s.err.finish("stderr")
	r.Combined = &streamRecord{Bytes: s.combined.bytes, Kept: s.combined.kept}
}

func (s *stream) lastLine() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.text()
}

func (s *stream) finish(name string) streamRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if err := s.log.close(); err != nil {
		say("the log file of %s is not complete: %v", name, err)
	}
	return streamRecord{Bytes: s.log.total, Kept: s.log.kept()}
}
