package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"unsafe"
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
	for _, s := range unhandledSignals {
		setSignal(s, sigIgnore)
	}
	in := incoming{make(chan os.Signal, 8), make(chan os.Signal, 64)}
	signal.Notify(in.stop, stopSignals...)
	signal.Notify(in.other)
	return in
}

// unhandledSignals are those that the Go runtime leaves at their default, which is to die. PID 1 does not, usually: Linux
// drops what init has no handler for. But not if its first thread has all signals blocked at that moment, as Go's has
// now and then, and another has not. So they are ignored; the launcher, which inherits that, undoes it.
var unhandledSignals = []syscall.Signal{32, 34}

const (
	sigDefault = 0
	sigIgnore  = 1
)

// setSignal is sigaction(2) for signals that os/signal does not know.
func setSignal(s syscall.Signal, handler uintptr) {
	action := struct{ handler, flags, restorer, mask uintptr }{handler: handler}
	// Cannot fail: these signals exist and the action is valid memory.
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action.mask), 0, 0)
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
