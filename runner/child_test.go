package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// childMain is the test binary in the role of an algorithm that tries what it should not be able to do.
func childMain(role string) int {
	switch role {
	case "probe":
		json.NewEncoder(os.Stdout).Encode(probe())
	case "x32", "i386":
		foreignCall(role)
	case "socket flood":
		socketFlood()
	case "no listener":
		orPanic(withoutListener())
	case "threads":
		for range 40 {
			go func() { syscall.Nanosleep(&syscall.Timespec{Sec: 30}, nil) }()
		}
		time.Sleep(30 * time.Second)
	case "bomb":
		bomb()
	case "flood":
		// Every signal that PID 1 can get from its own namespace, again and again: what its threads do meanwhile matters.
		for round := range 64 * 500 {
			switch s := syscall.Signal(1 + round%64); s {
			case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP:
			default:
				syscall.Kill(1, s)
			}
		}
	}
	return 0
}

// bomb becomes as many busy processes as there can be, each in a session of its own.
func bomb() {
	for {
		syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0)
		syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	}
}

// socketFlood asks for sockets from many threads for two seconds and prints how many calls were answered.
func socketFlood() {
	var calls, wrong atomic.Int64
	for range 64 {
		go func() {
			for {
				if _, _, errno := syscall.Syscall(syscall.SYS_SOCKET, syscall.AF_INET6, syscall.SOCK_STREAM, 0); errno != syscall.EAFNOSUPPORT {
					wrong.Add(1)
				}
				calls.Add(1)
			}
		}()
	}
	syscall.Nanosleep(&syscall.Timespec{Sec: 2}, nil)
	fmt.Println(calls.Load(), wrong.Load())
	syscall.Exit(0)
}

// withoutListener becomes the runner in a sandbox that has filters but nobody to ask.
func withoutListener() error {
	const flags = 24 // the offset of the low word of args[1]
	program := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offsetNumber},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: sysSeccomp, Jf: 3},
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: flags},
		{Code: syscall.BPF_JMP | syscall.BPF_JSET | syscall.BPF_K, K: seccompFlagNewListener, Jf: 1},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: seccompErrno | uint32(syscall.EINVAL)},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: seccompAllow},
	}
	runtime.LockOSThread()
	if err := prctl(prSetNoNewPrivs, 1); err != nil {
		return err
	}
	if _, err := seccomp(seccompFlagTsync, program); err != nil {
		return err
	}
	return syscall.Exec(os.Args[1], os.Args[1:], []string{"PATH=/usr/bin:/bin"})
}

func orPanic(err error) {
	if err != nil {
		panic(err)
	}
}

// probed is what a process behind the filter sees of itself.
type probed struct {
	Sockets    map[string]string
	Pair       string
	InetPair   string
	IoUring    string
	Parent     map[string]string
	NoNewPrivs uintptr
	Session    bool
}

func probe() probed {
	answer := func(errno syscall.Errno) string {
		if errno == 0 {
			return "ok"
		}
		return errno.Error()
	}
	p := probed{Sockets: map[string]string{}, Parent: map[string]string{}}
	families := map[string]int{"unix": syscall.AF_UNIX, "inet": syscall.AF_INET, "inet6": syscall.AF_INET6,
		"netlink": syscall.AF_NETLINK, "packet": syscall.AF_PACKET, "vsock": 40, "alg": 38, "none": 1 << 20, "high": syscall.AF_INET}
	for name, family := range families {
		word := uintptr(family)
		if name == "high" {
			word |= uintptr(syscall.AF_UNIX) << 32
		}
		_, _, errno := syscall.RawSyscall(syscall.SYS_SOCKET, word, syscall.SOCK_DGRAM, 0)
		p.Sockets[name] = answer(errno)
	}
	var fds [2]int32
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, uintptr(unsafe.Pointer(&fds)), 0, 0)
	p.Pair = answer(errno)
	_, _, errno = syscall.RawSyscall6(syscall.SYS_SOCKETPAIR, syscall.AF_INET, syscall.SOCK_STREAM, 0, uintptr(unsafe.Pointer(&fds)), 0, 0)
	p.InetPair = answer(errno)
	_, _, errno = syscall.RawSyscall(sysIoUringSetup, 1, 0, 0)
	p.IoUring = answer(errno)
	p.NoNewPrivs, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, 39, 0, 0, 0, 0, 0)
	session, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	p.Session = int(session) == os.Getpid()
	parent := os.Getppid()
	for _, name := range []string{"fd", "mem", "environ"} {
		_, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", parent))
		if name != "fd" {
			_, err = os.Open(fmt.Sprintf("/proc/%d/%s", parent, name))
		}
		p.Parent[name] = "ok"
		if err != nil {
			p.Parent[name] = err.(*os.PathError).Err.Error()
		}
	}
	p.Parent["ptrace"] = "ok"
	if err := syscall.PtraceAttach(parent); err != nil {
		p.Parent["ptrace"] = err.Error()
	}
	return p
}

// foreignCall opens a socket through another system call table. Coming back from it is the failure.
func foreignCall(role string) {
	if role == "x32" {
		_, _, errno := syscall.RawSyscall(0x40000000|41, syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		fmt.Println("came back:", errno)
		return
	}
	// Any call of that table must be deadly, so the harmless getpid will do.
	code := []byte{0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3} // mov eax, 20; int 0x80; ret
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Println(err)
		return
	}
	copy(page, code)
	// A Go func value points to a word that points to the code.
	entry := unsafe.Pointer(&page[0])
	closure := unsafe.Pointer(&entry)
	(*(*func())(unsafe.Pointer(&closure)))()
	fmt.Println("came back")
}
