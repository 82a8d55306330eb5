package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	tickInterval = 200 * time.Millisecond
	// After the main process has ended: how long what it left behind may hold the pipes, and then how long the
	// kernel may take to end it (a process in a driver call does not die at once).
	lingerTime = 2 * time.Second
	reapTime   = 2 * time.Second
)

// ending is how the main process ended.
type ending struct {
	at              time.Time
	status          syscall.WaitStatus
	maxRSSBytes     int64 // of the largest process that was reaped
	timedOut        bool
	threadsExceeded bool
	diskExceeded    bool
	stoppedBy       syscall.Signal // 0: nobody asked it to stop
	peakThreads     int            // 0: not counted
	diskBytes       *int64         // the most that was seen; nil: not measured
	fullFilesystems []string
}

// supervise, given when the runner started, waits for the main process, passes signals on and holds the limits. When it returns, everything that the
// algorithm started has been killed, and its output is in the streams.
func supervise(cfg *config, pid int, started time.Time, threads *threadWatch, signals incoming, s *streams) ending {
	reaper := startReaper(pid)
	watch := &watch{
		cfg: cfg, pid: pid, streams: s,
		threads: threads,
		disk:    startDiskWatch(cfg.Disk, "/", started),
		full:    fullWatch{paths: cfg.Disk.Filesystems},
	}
	ticks := time.NewTicker(tickInterval)
	defer ticks.Stop()
	var end ending
	for running := true; running; {
		select {
		case end = <-reaper.main:
			running = false
		case received := <-signals.stop:
			watch.stop(received.(syscall.Signal))
		case received := <-signals.other:
			if passedOn(received) {
				syscall.Kill(-pid, received.(syscall.Signal))
			}
		case <-ticks.C:
			watch.tick()
		}
	}
	watch.full.look() // before what holds its files is killed
	if !watch.ending() {
		s.drained(lingerTime)
	}
	killAll(pid)
	select {
	case <-reaper.gone:
	case <-time.After(reapTime):
	}
	s.drained(reapTime)
	end.maxRSSBytes = reaper.maxRSS()
	watch.finish(&end)
	return end
}

// killAll kills whatever the algorithm started: the whole PID namespace in a container, else its process group.
func killAll(pid int) {
	if os.Getpid() == 1 {
		syscall.Kill(-1, syscall.SIGKILL)
	} else {
		syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// watch decides when the algorithm has to end.
type watch struct {
	cfg             *config
	pid             int
	streams         *streams
	threads         *threadWatch
	disk            *diskWatch
	full            fullWatch
	killAt          time.Time // zero: it may run on
	timedOut        bool
	threadsExceeded bool
	diskExceeded    bool
	stoppedBy       syscall.Signal
}

func (w *watch) ending() bool { return !w.killAt.IsZero() }

// end sets the moment of SIGKILL, grace seconds from now.
func (w *watch) end(grace float64) {
	if !w.ending() {
		w.killAt = time.Now().Add(seconds(grace))
	}
}

// stop passes on a signal that asks to stop. Repeating it does not lengthen the grace period.
func (w *watch) stop(received syscall.Signal) {
	syscall.Kill(-w.pid, received)
	if !w.ending() {
		w.stoppedBy = received
		w.end(w.cfg.TermGraceSeconds)
	}
}

// tick holds the limits.
func (w *watch) tick() {
	if !w.ending() && deadlinePassed(w.cfg) {
		w.timedOut = true
		w.end(w.cfg.TermGraceSeconds)
		w.streams.notice("Time limit exceeded")
		syscall.Kill(-w.pid, syscall.SIGTERM)
	}
	if !w.ending() && w.threads.tooMany() != "" {
		w.threadLimitExceeded()
		w.end(0)
	}
	if !w.ending() && w.disk.exceeded() {
		w.diskLimitExceeded()
		w.end(0)
	}
	w.full.look()
	// Again at every tick: what forks may slip through once.
	if w.ending() && !time.Now().Before(w.killAt) {
		killAll(w.pid)
	}
}

func (w *watch) threadLimitExceeded() {
	w.threadsExceeded = true
	w.streams.notice(w.threads.tooMany())
}

func (w *watch) diskLimitExceeded() {
	w.diskExceeded = true
	w.streams.notice(fmt.Sprintf("Disk limit exceeded: %d bytes were written, the limit is %d", w.disk.peak.Load(), w.cfg.Disk.LimitBytes))
}

// finish takes a last look, now that everything is dead, and tells what was seen.
func (w *watch) finish(end *ending) {
	if !w.threadsExceeded && w.threads.tooMany() != "" {
		w.threadLimitExceeded()
	}
	if w.disk != nil {
		w.disk.finish()
		if !w.diskExceeded && w.disk.exceeded() {
			w.diskLimitExceeded()
		}
		peak := w.disk.peak.Load()
		end.diskBytes = &peak
	}
	w.full.look()
	end.timedOut, end.threadsExceeded, end.diskExceeded = w.timedOut, w.threadsExceeded, w.diskExceeded
	end.stoppedBy, end.peakThreads, end.fullFilesystems = w.stoppedBy, w.threads.most(), w.full.full
}
