package main

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"
)

const (
	seccompSetModeFilter = 1

	seccompFlagTsync        = 1 << 0
	seccompFlagNewListener  = 1 << 3
	seccompFlagTsyncESRCH   = 1 << 4 // a thread that cannot be told is an error, not a number: that is the listener's
	seccompFlagWaitKillable = 1 << 5 // a signal does not break off a call that waits for its answer; Linux 5.19

	seccompKillProcess = 0x80000000
	seccompErrno       = 0x00050000
	seccompUserNotify  = 0x7fc00000
	seccompAllow       = 0x7fff0000

	// Offsets in struct seccomp_data. Both processors are little-endian: the low word of an argument comes first.
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16
	offsetArg1   = 24
	offsetArg2   = 32

	prioUser      = 2
	ioprioWhoUser = 3

	sysIoUringSetup    = 425 // the same numbers on amd64 and arm64
	sysIoUringRegister = 427
)

// filter builds the BPF program. Of sockets it lets only AF_UNIX through and, if sockets is true, IP and what tells
// of its addresses: never AF_VSOCK, which reaches the machine around the node past every policy. What becomes of the
// others is refusal. In every case foreign system call tables (i386, x32, 32-bit ARM) are deadly and io_uring does not
// exist: both are ways round a filter that looks at system calls. Limits and priorities of other processes are not to be
// set: the runner is the same user, and blind without descriptors, late behind everybody else.
func filter(sockets bool, refusal uint32) []syscall.SockFilter {
	load := func(offset uint32) syscall.SockFilter {
		return syscall.SockFilter{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offset}
	}
	jump := func(test uint16, k uint32, yes, no uint8) syscall.SockFilter {
		return syscall.SockFilter{Code: syscall.BPF_JMP | test | syscall.BPF_K, Jt: yes, Jf: no, K: k}
	}
	answer := func(k uint32) syscall.SockFilter {
		return syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: k}
	}
	program := []syscall.SockFilter{
		load(offsetArch),
		jump(syscall.BPF_JEQ, auditArch, 1, 0),
		answer(seccompKillProcess),
		load(offsetNumber),
		jump(syscall.BPF_JGE, firstForeignNumber, 0, 1),
		answer(seccompKillProcess),
		jump(syscall.BPF_JGE, sysIoUringSetup, 0, 2),
		jump(syscall.BPF_JGT, sysIoUringRegister, 1, 0),
		answer(seccompErrno | uint32(syscall.ENOSYS)),

		jump(syscall.BPF_JEQ, syscall.SYS_PRLIMIT64, 6, 0),
		jump(syscall.BPF_JEQ, syscall.SYS_SCHED_SETSCHEDULER, 9, 0),
		jump(syscall.BPF_JEQ, syscall.SYS_SCHED_SETPARAM, 8, 0),
		jump(syscall.BPF_JEQ, sysSchedSetattr, 7, 0),
		jump(syscall.BPF_JEQ, syscall.SYS_SETPRIORITY, 8, 0),
		jump(syscall.BPF_JEQ, syscall.SYS_IOPRIO_SET, 9, 0),
		jump(syscall.BPF_JA, 14, 0, 0), // none of them
		// prlimit64(pid, resource, new limits or null, …)
		load(offsetArg2),
		jump(syscall.BPF_JEQ, 0, 0, 2),
		load(offsetArg2 + 4),
		jump(syscall.BPF_JEQ, 0, 8, 0), // it only asks
		// sched_set…(pid, …)
		load(offsetArg0),
		jump(syscall.BPF_JEQ, 0, 6, 7),
		// setpriority(process, group or user, who, …), ioprio_set(process, group or user, who, …): nobody's user
		load(offsetArg0),
		jump(syscall.BPF_JGE, prioUser, 5, 2),
		load(offsetArg0),
		jump(syscall.BPF_JGE, ioprioWhoUser, 3, 0),
		load(offsetArg1),
		jump(syscall.BPF_JEQ, 0, 0, 1),
		answer(seccompAllow), // itself
		answer(seccompErrno | uint32(syscall.EPERM)),
	}
	families := []uint32{syscall.AF_UNIX}
	if sockets {
		families = append(families, syscall.AF_INET, syscall.AF_INET6, syscall.AF_NETLINK)
	}
	program = append(program,
		jump(syscall.BPF_JEQ, syscall.SYS_SOCKET, 1, 0),
		jump(syscall.BPF_JEQ, syscall.SYS_SOCKETPAIR, 0, uint8(len(families)+2)),
		load(offsetArg0), // the kernel takes an int: the high word does not count
	)
	for i, family := range families {
		program = append(program, jump(syscall.BPF_JEQ, family, uint8(len(families)-i), 0))
	}
	program = append(program, answer(refusal))
	return append(program, answer(seccompAllow))
}

// installFilter puts the filter on all threads of this process; what it executes keeps it. The caller's thread has
// no_new_privs set. Where the kernel can ask somebody about every refused socket, handOver is given the listener that
// has to answer; elsewhere the kernel refuses them by itself, uncounted. That the filter works is tried, not believed:
// there are kernels that are not Linux.
func installFilter(sockets bool, handOver func(listener int) error) error {
	listener, err := installListener(sockets), error(nil)
	if listener >= 0 {
		// The copy here must go: a listener that nobody holds makes the kernel refuse, one that nobody reads, wait.
		err = handOver(listener)
		syscall.Close(listener)
	} else {
		_, err = seccomp(seccompFlagTsync, filter(sockets, seccompErrno|uint32(syscall.EAFNOSUPPORT)))
	}
	if err != nil {
		return err
	}
	if _, _, errno := syscall.RawSyscall(sysIoUringSetup, 1, 0, 0); errno != syscall.ENOSYS {
		return fmt.Errorf("the seccomp filter has no effect: io_uring_setup answered %d", errno)
	}
	if sockets {
		return nil
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		syscall.Close(fd)
	}
	if !errors.Is(err, syscall.EAFNOSUPPORT) {
		return fmt.Errorf("the seccomp filter has no effect: socket(AF_INET) answered %v", err)
	}
	return nil
}

// installListener installs the filter that asks; -1: this kernel, or the sandbox around it, has no such thing, and
// nothing is installed.
func installListener(sockets bool) int {
	const flags = seccompFlagTsync | seccompFlagTsyncESRCH | seccompFlagNewListener
	program := filter(sockets, seccompUserNotify)
	for _, more := range []uintptr{seccompFlagWaitKillable, 0} {
		if listener, err := seccomp(flags|more, program); err == nil {
			return listener
		}
	}
	return -1
}

// seccomp installs program and returns the number that the kernel answers.
func seccomp(flags uintptr, program []syscall.SockFilter) (int, error) {
	fprog := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	answer, _, errno := syscall.RawSyscall(sysSeccomp, seccompSetModeFilter, flags, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return -1, fmt.Errorf("the seccomp filter was refused: %w", errno)
	}
	if flags&seccompFlagNewListener == 0 && answer != 0 {
		return -1, fmt.Errorf("the seccomp filter could not be put on thread %d", answer)
	}
	return int(answer), nil
}
