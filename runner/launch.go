package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Go cannot run code between fork and exec, so the runner starts itself once more: `runner launch` puts the seccomp
// filter on itself and then becomes the algorithm. Both talk over a socket pair, one line a message:
//
//	launcher  "listener" and fd   the filter is in place and asks through that descriptor; not sent where it does not ask
//	launcher  "filtered"          the filter is in place and was tried
//	runner    "go"                the collector knows; execute
//	launcher  end of file         it was executed: the socket closes on exec
//	launcher  "internal TEXT"     the filter is not in place; nothing was executed
//	launcher  "errno N"           execve failed
const (
	launchCommand   = "launch"
	launchSocket    = 3
	launchTimeout   = 30 * time.Second
	launchListener  = "listener"
	launchFiltered  = "filtered"
	launchGo        = "go"
	launchErrno     = "errno "
	launchInternal  = "internal "
	launchMaxAnswer = 4096
)

// launched is the algorithm, started.
type launched struct {
	pid    int            // its process group too
	denied *deniedSockets // nil: the sockets refused to it are not counted here
}

// launch starts the command in a session of its own. announce is called when the filter is in place, before the
// algorithm's first instruction; if it fails, nothing runs.
func launch(self string, cfg *config, cmd *command, s *streams, announce func() error) (*launched, *startFailure) {
	internal := func(err error) *startFailure {
		return &startFailure{exitInternal, fmt.Sprintf("The runner could not start the algorithm: %v", err)}
	}
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		return nil, internal(err)
	}
	defer stdin.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, internal(err)
	}
	syscall.SetNonblock(pair[0], true) // so that a deadline works on it
	channel := os.NewFile(uintptr(pair[0]), "launcher")
	defer channel.Close()
	channel.SetDeadline(time.Now().Add(launchTimeout))

	argv := append([]string{self, launchCommand, cfg.Network, cmd.path}, cmd.argv...)
	pid, err := syscall.ForkExec(self, argv, &syscall.ProcAttr{
		Env:   cmd.env,
		Files: []uintptr{stdin.Fd(), s.out.childEnd, s.err.childEnd, uintptr(pair[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	syscall.Close(pair[1])
	s.closeChildEnds()
	if err != nil {
		return nil, internal(err)
	}
	s.pump()

	abandon := func(failure *startFailure) (*launched, *startFailure) {
		syscall.Kill(-pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
		return nil, failure
	}
	first, listener, err := receive(channel)
	if err != nil {
		return abandon(internal(err))
	}
	child := &launched{pid: pid}
	if listener >= 0 {
		child.denied = &deniedSockets{}
		go child.denied.answer(listener)
	}
	answers := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(first), channel), launchMaxAnswer)
	if line, err := answers.ReadString('\n'); err != nil || line != launchFiltered+"\n" {
		if text, ok := strings.CutPrefix(line, launchInternal); ok {
			err = errors.New(strings.TrimSpace(text))
		} else if err == nil {
			err = fmt.Errorf("the launcher answered %s", quote(line))
		}
		return abandon(internal(err))
	}
	if child.denied != nil {
		child.denied.forget()
	}
	if err := announce(); err != nil {
		return abandon(internal(fmt.Errorf("the collector could not be told: %w", err)))
	}
	if _, err := channel.WriteString(launchGo + "\n"); err != nil {
		return abandon(internal(err))
	}
	line, err := answers.ReadString('\n')
	if text, ok := strings.CutPrefix(strings.TrimSpace(line), launchErrno); ok {
		number, err := strconv.Atoi(text)
		if err != nil {
			return abandon(internal(err))
		}
		return abandon(executeFailure(cmd.path, syscall.Errno(number)))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return abandon(internal(err))
	}
	return child, nil // end of file: executed, or killed, which the wait will tell
}

// receive takes the launcher's first message. With "listener" comes a descriptor, and that line is not returned;
// without it the descriptor is -1.
func receive(channel *os.File) (text []byte, fd int, err error) {
	conn, err := channel.SyscallConn()
	if err != nil {
		return nil, -1, err
	}
	text, control := make([]byte, launchMaxAnswer), make([]byte, syscall.CmsgSpace(4))
	var n, controlled int
	var failed error
	err = conn.Read(func(socket uintptr) bool {
		n, controlled, _, _, failed = syscall.Recvmsg(int(socket), text, control, syscall.MSG_CMSG_CLOEXEC)
		return failed != syscall.EAGAIN && failed != syscall.EINTR
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, -1, err
	}
	if messages, err := syscall.ParseSocketControlMessage(control[:controlled]); err == nil && len(messages) == 1 {
		if fds, err := syscall.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			return bytes.TrimPrefix(text[:n], []byte(launchListener+"\n")), fds[0], nil
		}
	}
	return text[:n], -1, nil
}

// launchMain is `runner launch NETWORK PATH ARGV…`, executed by the runner only.
func launchMain(args []string) int {
	runtime.LockOSThread() // no_new_privs is a thread's own, and the thread that executes hands it on
	channel := os.NewFile(launchSocket, "runner")
	if len(args) < 3 || channel == nil {
		say("launch is for the runner itself")
		return exitInternal
	}
	network, path, argv := args[0], args[1], args[2:]
	handOver := func(listener int) error {
		return syscall.Sendmsg(launchSocket, []byte(launchListener+"\n"), syscall.UnixRights(listener), nil, 0)
	}
	if err := confine(network == networkLoopback, handOver); err != nil {
		fmt.Fprintln(channel, launchInternal+err.Error())
		return exitInternal
	}
	if _, err := fmt.Fprintln(channel, launchFiltered); err != nil {
		return exitInternal
	}
	if line, err := bufio.NewReader(channel).ReadString('\n'); err != nil || line != launchGo+"\n" {
		return exitInternal
	}
	err := syscall.Exec(path, argv, os.Environ())
	var errno syscall.Errno
	errors.As(err, &errno)
	fmt.Fprintf(channel, "%s%d\n", launchErrno, int(errno))
	return exitInternal
}

// confine takes from this process what the algorithm shall not have of the runner's.
func confine(sockets bool, handOver func(listener int) error) error {
	if err := closeOnExec(); err != nil {
		return err
	}
	for _, s := range unhandledSignals {
		setSignal(s, sigDefault)
	}
	if err := restrain(); err != nil {
		return err
	}
	if err := prctl(prSetNoNewPrivs, 1); err != nil {
		return fmt.Errorf("PR_SET_NO_NEW_PRIVS: %w", err)
	}
	return installFilter(sockets, handOver)
}
