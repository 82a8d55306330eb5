package main

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	dialInterval = 50 * time.Millisecond
	sendTimeout  = 10 // seconds
)

// collector is the connection to the collect step. The algorithm has no way to it: the descriptor closes on exec, the
// runner cannot be traced, and the collector takes one connection only.
type collector struct {
	fd int // -1: nobody listens, by configuration
}

// dialCollector connects, trying again until the time set is over. A signal that asks to stop ends it.
func dialCollector(cfg *config, stop <-chan os.Signal) (*collector, error) {
	if cfg.Socket == "" {
		return &collector{-1}, nil
	}
	giveUp := time.Now().Add(seconds(cfg.SocketTimeoutSeconds))
	for {
		fd, err := dial(cfg.Socket)
		if err == nil {
			return &collector{fd}, nil
		}
		if time.Now().After(giveUp) || deadlinePassed(cfg) {
			return nil, fmt.Errorf("the collector was not there within %v s: %s: %w", cfg.SocketTimeoutSeconds, cfg.Socket, err)
		}
		select {
		case s := <-stop:
			return nil, fmt.Errorf("%s came while the runner waited for the collector", signalName(s.(syscall.Signal)))
		case <-time.After(dialInterval):
		}
	}
}

func dial(address string) (int, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: address})
	if err == nil {
		err = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &syscall.Timeval{Sec: sendTimeout})
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// send writes one JSON line, waiting at most sendTimeout for the collector to take it.
func (c *collector) send(message any) error {
	if c.fd < 0 {
		return nil
	}
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	for len(line) > 0 {
		n, err := syscall.SendmsgN(c.fd, line, nil, nil, syscall.MSG_NOSIGNAL)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		line = line[n:]
	}
	return nil
}

func (c *collector) close() {
	if c.fd >= 0 {
		syscall.Close(c.fd)
	}
}
