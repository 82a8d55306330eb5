package main

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"
)

const (
	// As far behind the runner in its own container as can be, whose weight on the node this does not change: a thousand
	// busy processes must not keep away who counts and ends them. At 10 they left it one hundredth of the container's
	// processor time. Not SCHED_IDLE, which leaves it still more: the container as a whole would get less than its share.
	niceness = 19
	// No core dump: 1 is less than any, and the one value that also stops a handler on the node from getting it,
	// where patients' data would stay.
	coreBytes  = 1
	rlimitCore = 4
	// Threads that the runner may need: when the algorithm has taken all that there are, Go dies of not getting one.
	reservedThreads = 16 + watchers
	// What may run at a time in the runner, whatever GOMAXPROCS says in the image: with 1, a thread of the runner's that
	// waits for its turn on a processor has all others wait for it.
	parallelism = 8 + watchers
)

// restrain sets what the algorithm inherits from this thread and cannot take back.
func restrain() error {
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness); err != nil {
		return fmt.Errorf("setpriority: %w", err)
	}
	if err := syscall.Setrlimit(rlimitCore, &syscall.Rlimit{Cur: coreBytes, Max: coreBytes}); err != nil {
		return fmt.Errorf("RLIMIT_CORE: %w", err)
	}
	return nil
}

// reserveThreads makes the Go runtime start its threads now; it keeps those that are idle.
func reserveThreads() {
	var all, done sync.WaitGroup
	all.Add(reservedThreads)
	done.Add(reservedThreads)
	for range reservedThreads {
		go func() {
			defer done.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		}()
	}
	done.Wait()
}
