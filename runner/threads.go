package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// taskCounts are where a container sees how many threads its cgroup has: version 2, then version 1.
var taskCounts = []string{"/sys/fs/cgroup/pids.current", "/sys/fs/cgroup/pids/pids.current"}

const (
	// A quota of processor time (Linux 6.18) takes back in each of its periods, of mostly 100 ms, whatever turn a waiting
	// thread had gained: one that wakes when the quota is used up may stay behind a thousand busy processes for half a
	// minute, whatever its niceness. One that wakes while there is some left comes first. So several watch, one every
	// tenth of a second, and not at the same place of a period each time.
	watchers      = 8
	watchInterval = 100 * time.Millisecond
	watchDrift    = 3 * time.Millisecond
)

// threadWatch counts the algorithm's threads and kills everything when there are too many, again and again for as long
// as there are. Each watcher does so by itself, without waiting for another thread of the runner's.
type threadWatch struct {
	limit    int64
	peak     atomic.Int64
	exceeded atomic.Int64 // the count that was first seen above the limit; 0: none was
}

// startThreadWatch begins to count, until the runner ends. Nil for anybody but PID 1, who alone has all that it counts
// for its own.
func startThreadWatch(limit int) *threadWatch {
	if os.Getpid() != 1 {
		return nil
	}
	w := &threadWatch{limit: int64(limit)}
	for n := range watchers {
		go w.loop(time.Duration(n) * watchInterval)
	}
	return w
}

func (w *threadWatch) loop(wait time.Duration) {
	// The kernel wakes this thread itself: Go's own timers wait until another one has had its turn.
	runtime.LockOSThread()
	counter := openTaskCounter()
	for ; ; wait = watchers*watchInterval + watchDrift {
		pause := syscall.NsecToTimespec(int64(wait))
		syscall.Nanosleep(&pause, nil)
		threads := int64(counter.threads(int(w.limit)))
		for peak := w.peak.Load(); threads > peak && !w.peak.CompareAndSwap(peak, threads); {
			peak = w.peak.Load()
		}
		if threads > w.limit {
			w.exceeded.CompareAndSwap(0, threads) // first, or the end could be recorded without its reason
			syscall.Kill(-1, syscall.SIGKILL)
		}
	}
}

// tooMany is what to say when the limit was passed; "": it was not.
func (w *threadWatch) tooMany() string {
	if w == nil || w.exceeded.Load() == 0 {
		return ""
	}
	return fmt.Sprintf("Thread limit exceeded: %d threads, the limit is %d", w.exceeded.Load(), w.limit)
}

// most is how many were counted at once; 0: nobody counted.
func (w *threadWatch) most() int {
	if w == nil {
		return 0
	}
	return int(w.peak.Load())
}

// taskCounter counts the threads of all processes in this PID namespace but the runner's own. It needs the cgroup or
// /proc: without them the count is 0. The cgroup knows at once what /proc tells one process at a time. The files stay
// open: a look is two calls.
type taskCounter struct{ tasks, own *os.File }

func openTaskCounter() taskCounter {
	own, err := os.Open("/proc/self/stat")
	if err != nil {
		return taskCounter{}
	}
	for _, path := range taskCounts {
		if tasks, err := os.Open(path); err == nil {
			return taskCounter{tasks, own}
		}
	}
	own.Close()
	return taskCounter{}
}

// threads is the count. Above the limit it may be that of the processes alone.
func (c taskCounter) threads(limit int) int {
	if c.tasks == nil {
		return countInProc(limit)
	}
	var text [1024]byte
	n, _ := c.tasks.ReadAt(text[:], 0)
	tasks, err := strconv.Atoi(string(bytes.TrimSpace(text[:n])))
	if err != nil {
		return countInProc(limit)
	}
	n, _ = c.own.ReadAt(text[:], 0)
	return max(tasks-threadsOf(text[:n]), 0)
}

func countInProc(limit int) int {
	pids := slices.DeleteFunc(names("/proc", -1), func(name string) bool {
		pid, err := strconv.Atoi(name)
		return err != nil || pid == 1
	})
	if len(pids) > limit {
		return len(pids) // a look at each would take longest now
	}
	total := 0
	for _, name := range pids {
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		total += threadsOf(stat)
	}
	return total
}

// threadsOf reads num_threads, field 20 of /proc/PID/stat. Field 2 is the process's name in brackets, which the
// process chooses: fields are counted from the last bracket.
func threadsOf(stat []byte) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 18 {
		return 0
	}
	threads, err := strconv.Atoi(string(fields[17]))
	if err != nil {
		return 0
	}
	return threads
}
