package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// incoming are the signals sent to the runner. Those that ask to stop have a channel of their own, so that a flood
// of others cannot push them out.
type incoming struct {
	stop  chan os.Signal
	other chan os.Signal
}

// catchSignals catches every signal there is: the algorithm may send any of them to PID 1, and the Go runtime would
// die of some.
func catchSignals() incoming {
	in := incoming{make(chan os.Signal, 8), make(chan os.Signal, 64)}
	signal.Notify(in.stop, stopSignals...)
	signal.Notify(in.other)
	return in
}

// stopSignals are those by which a container is told to end: a grace period follows, then SIGKILL.
var stopSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP}

var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
	syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGKILL: "SIGKILL", syscall.SIGUSR1: "SIGUSR1", syscall.SIGSEGV: "SIGSEGV", syscall.SIGUSR2: "SIGUSR2",
	syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM", syscall.SIGSTKFLT: "SIGSTKFLT",
	syscall.SIGXCPU: "SIGXCPU", syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGVTALRM: "SIGVTALRM", syscall.SIGPROF: "SIGPROF",
	syscall.SIGIO: "SIGIO", syscall.SIGPWR: "SIGPWR", syscall.SIGSYS: "SIGSYS",
}

// signalName is the kernel's name; real-time signals are numbered.
func signalName(s syscall.Signal) string {
	if name, ok := signalNames[s]; ok {
		return name
	}
	return fmt.Sprintf("SIG%d", int(s))
}

// passedOn: signals that the algorithm gets as they came. The others ask to stop, or mean something to the runner
// itself, or nothing.
func passedOn(s os.Signal) bool {
	switch s {
	case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE:
		return false
	}
	return !slices.Contains(stopSignals, s)
}
