package main

import (
	"sync/atomic"
	"syscall"
	"time"
)

// reaper collects every child that ends, orphans too: that is PID 1's duty.
type reaper struct {
	main   chan ending   // receives the main process's end, once
	gone   chan struct{} // closed when no child is left
	rssKiB atomic.Int64
}

func startReaper(pid int) *reaper {
	r := &reaper{main: make(chan ending, 1), gone: make(chan struct{})}
	go r.loop(pid)
	return r
}

func (r *reaper) loop(pid int) {
	defer close(r.gone)
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		child, err := syscall.Wait4(-1, &status, 0, &usage)
		if err == syscall.EINTR {
			continue
		}
		if err != nil { // ECHILD
			return
		}
		r.rssKiB.Store(max(r.rssKiB.Load(), usage.Maxrss))
		if child == pid {
			r.main <- ending{at: time.Now(), status: status}
		}
	}
}

// maxRSS is the peak resident size in bytes of the largest process that has ended so far.
func (r *reaper) maxRSS() int64 { return r.rssKiB.Load() * 1024 }
