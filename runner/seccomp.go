package main

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"
)

const (
	seccompSetModeFilter = 1
	seccompFlagTsync     = 1

	seccompKillProcess = 0x80000000
	seccompErrno       = 0x00050000
	seccompAllow       = 0x7fff0000

	// Offsets in struct seccomp_data. Both processors are little-endian: the low word of args[0] comes first.
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16

	sysIoUringSetup    = 425 // the same numbers on amd64 and arm64
	sysIoUringRegister = 427
)

// filter builds the BPF program. Of sockets it lets only AF_UNIX through, unless sockets is true. In every case
// foreign system call tables (i386, x32, 32-bit ARM) are deadly and io_uring does not exist: both are ways round a
// filter that looks at system calls.
func filter(sockets bool) []syscall.SockFilter {
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
	}
	if !sockets {
		program = append(program,
			jump(syscall.BPF_JEQ, syscall.SYS_SOCKET, 1, 0),
			jump(syscall.BPF_JEQ, syscall.SYS_SOCKETPAIR, 0, 3),
			load(offsetArg0), // the kernel takes an int: the high word does not count
			jump(syscall.BPF_JEQ, syscall.AF_UNIX, 1, 0),
			answer(seccompErrno|uint32(syscall.EAFNOSUPPORT)),
		)
	}
	return append(program, answer(seccompAllow))
}

// installFilter puts the filter on all threads of this process; what it executes keeps it. The caller's thread has
// no_new_privs set. That it works is tried, not believed: there are kernels that are not Linux.
func installFilter(sockets bool) error {
	program := filter(sockets)
	fprog := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := syscall.RawSyscall(sysSeccomp, seccompSetModeFilter, seccompFlagTsync, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("the seccomp filter was refused: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("the seccomp filter could not be put on thread %d", thread)
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
