package main

import (
	"fmt"
	"syscall"
)

const (
	prSetDumpable       = 4
	prSetChildSubreaper = 36
	prSetNoNewPrivs     = 38
	sysCloseRange       = 436 // the same number on amd64 and arm64
	closeRangeCloexec   = 4
)

// harden makes the runner safe from the algorithm, which runs as the same user: not dumpable means that nobody can
// ptrace it or reach its descriptors through /proc, so the exit record cannot be forged.
func harden() error {
	if err := prctl(prSetDumpable, 0); err != nil {
		return fmt.Errorf("PR_SET_DUMPABLE: %w", err)
	}
	// A property of each thread, so all of them are told; the algorithm inherits it.
	if _, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", errno)
	}
	// Orphans come to PID 1 anyway; this makes the runner the same outside of a container.
	if err := prctl(prSetChildSubreaper, 1); err != nil {
		return fmt.Errorf("PR_SET_CHILD_SUBREAPER: %w", err)
	}
	reserveThreads()
	return closeOnExec()
}

// closeOnExec marks all descriptors above stderr, so that the algorithm inherits none that the container engine leaked.
func closeOnExec() error {
	_, _, errno := syscall.RawSyscall(sysCloseRange, 3, ^uintptr(0)>>32, closeRangeCloexec)
	if errno == 0 {
		return nil
	}
	// Linux before 5.11.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("descriptors cannot be closed on exec: %w", err)
	}
	for fd := 3; fd < int(min(limit.Cur, 1<<20)); fd++ {
		syscall.CloseOnExec(fd)
	}
	return nil
}

func prctl(option, value uintptr) error {
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, value, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
