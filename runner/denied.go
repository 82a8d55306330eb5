package main

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// deniedSockets answers the algorithm's calls of socket and socketpair that the filter stops, always with EAFNOSUPPORT,
// and counts them by address family.
type deniedSockets struct {
	families [afMax + 1]atomic.Int64 // the last one: numbers that are no family
}

const (
	afMax = 46

	// Answers are rationed, so that a program that does nothing but ask costs the runner some percent of a CPU. Who asks
	// faster waits; nobody else does.
	deniedBurst    = 250
	deniedInterval = 50 * time.Millisecond

	notifyReceive = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	notifySend    = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
)

// notification is struct seccomp_notif: one stopped call.
type notification struct {
	id        uint64
	pid       uint32
	flags     uint32
	number    int32
	arch      uint32
	pointer   uint64
	arguments [6]uint64
}

// notificationAnswer is struct seccomp_notif_resp.
type notificationAnswer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// answer serves the listener until no process is left behind the filter. If it ever stopped earlier, the kernel would
// let the callers wait, or refuse them when the listener is closed; it never lets them through.
func (d *deniedSockets) answer(listener int) {
	for {
		began := time.Now()
		for range deniedBurst {
			if !waitReadable(listener) {
				return
			}
			d.answerOne(listener)
		}
		time.Sleep(deniedInterval - time.Since(began))
	}
}

func (d *deniedSockets) answerOne(listener int) {
	var asked notification
	if ioctl(listener, notifyReceive, unsafe.Pointer(&asked)) != 0 {
		return // the caller is gone, or a signal came
	}
	// The kernel takes the family as an int: the high word does not count.
	d.families[min(uint32(asked.arguments[0]), afMax)].Add(1)
	ioctl(listener, notifySend, unsafe.Pointer(&notificationAnswer{id: asked.id, errno: -int32(syscall.EAFNOSUPPORT)}))
}

// waitReadable waits for a stopped call; false: there is nobody left who could make one.
func waitReadable(fd int) bool {
	const pollIn, pollEnd = 0x1, 0x8 | 0x10 | 0x20 // POLLERR, POLLHUP, POLLNVAL
	for {
		poll := struct {
			fd              int32
			events, revents int16
		}{fd: int32(fd), events: pollIn}
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, 0, 0, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0:
			return false
		case poll.revents&pollIn != 0:
			return true
		case poll.revents&pollEnd != 0:
			return false
		}
	}
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) syscall.Errno {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
	return errno
}

// forget starts the count anew: the launcher tries the filter, which is not the algorithm's doing.
func (d *deniedSockets) forget() {
	for i := range d.families {
		d.families[i].Store(0)
	}
}

// counts is what was refused, by the name of the address family.
func (d *deniedSockets) counts() map[string]int64 {
	counts := map[string]int64{}
	for family := range d.families {
		if n := d.families[family].Load(); n > 0 {
			counts[familyName(family)] = n
		}
	}
	return counts
}

var familyNames = map[int]string{
	syscall.AF_UNSPEC: "AF_UNSPEC", syscall.AF_INET: "AF_INET", syscall.AF_INET6: "AF_INET6",
	syscall.AF_NETLINK: "AF_NETLINK", syscall.AF_PACKET: "AF_PACKET", syscall.AF_BLUETOOTH: "AF_BLUETOOTH",
	29: "AF_CAN", 30: "AF_TIPC", 38: "AF_ALG", 40: "AF_VSOCK", 42: "AF_QIPCRTR", 43: "AF_SMC", 44: "AF_XDP",
	afMax: "other",
}

func familyName(family int) string {
	if name, ok := familyNames[family]; ok {
		return name
	}
	return fmt.Sprintf("AF_%d", family)
}
