package main

import (
	"syscall"
	"time"
	"unsafe"
)

const clockBoottime = 7

// boottime is the kernel's CLOCK_BOOTTIME in seconds: no wall clock change moves it, and a suspended node does not stop it.
func boottime() float64 {
	var ts syscall.Timespec
	// Cannot fail: the clock exists since Linux 2.6.39 and ts is valid memory.
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0)
	return float64(ts.Sec) + float64(ts.Nsec)/1e9
}

// deadlinePassed tells whether t0 + limit - reserve is over.
func deadlinePassed(cfg *config) bool {
	return boottime() >= cfg.StartedAtBoottime+cfg.LimitSeconds-cfg.ReserveSeconds
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second))
}
