package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	networkNone     = "None"
	networkLoopback = "Loopback"

	maxConfigBytes = 1 << 20
	minLogBytes    = 4096
	maxSeconds     = 366 * 24 * 3600
)

// config is run.json, written by the stage step. All times are in seconds.
type config struct {
	Version int `json:"version"`
	// Entrypoint and Cmd are the image's exec-form lists. Nothing in them is expanded.
	Entrypoint []string `json:"entrypoint"`
	Cmd        []string `json:"cmd"`
	// StartedAt is t0, the start of the Pod, for people; StartedAtBoottime is the same moment on CLOCK_BOOTTIME.
	StartedAt         string  `json:"startedAt"`
	StartedAtBoottime float64 `json:"startedAtBoottime"`
	// The algorithm is ended at t0 + LimitSeconds - ReserveSeconds.
	LimitSeconds     float64 `json:"limitSeconds"`
	ReserveSeconds   float64 `json:"reserveSeconds"`
	TermGraceSeconds float64 `json:"termGraceSeconds"`
	// Network is None (AF_UNIX sockets only) or Loopback (IP and netlink too, for images that talk to themselves).
	Network    string     `json:"network"`
	MaxThreads int        `json:"maxThreads"`
	Logs       logsConfig `json:"logs"`
	// Socket is the collector's abstract AF_UNIX address, "@name"; empty: nobody is told.
	Socket               string    `json:"socket"`
	SocketTimeoutSeconds float64   `json:"socketTimeoutSeconds"`
	Env                  envConfig `json:"env"`
	// Home is the HOME that the image's passwd gives its user; null: what the environment says.
	Home *string    `json:"home"`
	Disk diskConfig `json:"disk"`
}

// logsConfig: Silent keeps everything that the algorithm writes in the files, out of the container's own log.
type logsConfig struct {
	Dir      string `json:"dir"`
	MaxBytes int64  `json:"maxBytes"`
	Silent   bool   `json:"silent"`
}

// envConfig: Default holds only where the image sets nothing; prefixes are matched without regard to case.
type envConfig struct {
	Set           map[string]string `json:"SET"`
	Default       map[string]string `json:"DEFAULT"`
	UnsetPrefixes []string          `json:"UNSET_PREFIXES"`
}

// diskConfig: what may be written, 0 for no limit, in all below Paths and, with Root, in the container's own file
// system. Filesystems are mount points that can fill up by themselves.
type diskConfig struct {
	LimitBytes  int64    `json:"limitBytes"`
	Paths       []string `json:"paths"`
	Root        bool     `json:"root"`
	Filesystems []string `json:"filesystems"`
}

// loadConfig reads and checks run.json. Unknown keys are errors: a setting that is not understood is not obeyed.
func loadConfig(path string) (*config, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the settings cannot be read: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the settings cannot be read: %w", err)
	}
	if len(text) > maxConfigBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxConfigBytes)
	}
	cfg := &config{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(cfg); err != nil {
		return nil, fmt.Errorf("%s is not valid: %w", path, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is not valid: there is more after the JSON object", path)
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("%s is not valid: %w", path, err)
	}
	return cfg, nil
}

func (c *config) check() error {
	if c.Version != 1 {
		return fmt.Errorf("version is %d, this runner understands 1", c.Version)
	}
	if _, err := time.Parse(time.RFC3339Nano, c.StartedAt); err != nil {
		return fmt.Errorf("startedAt: %w", err)
	}
	for _, s := range []struct {
		name       string
		value, min float64
	}{
		{"limitSeconds", c.LimitSeconds, 1},
		{"reserveSeconds", c.ReserveSeconds, 0},
		{"termGraceSeconds", c.TermGraceSeconds, 0},
		{"socketTimeoutSeconds", c.SocketTimeoutSeconds, 0},
	} {
		if !(s.value >= s.min && s.value <= maxSeconds) {
			return fmt.Errorf("%s is %v, it must be from %v to %d", s.name, s.value, s.min, maxSeconds)
		}
	}
	if c.ReserveSeconds >= c.LimitSeconds {
		return fmt.Errorf("reserveSeconds %v leaves nothing of limitSeconds %v", c.ReserveSeconds, c.LimitSeconds)
	}
	if now := boottime(); !(c.StartedAtBoottime >= 0 && c.StartedAtBoottime <= now+1) {
		return fmt.Errorf("startedAtBoottime is %v, but this kernel's clock is at %.3f: both must come from one kernel", c.StartedAtBoottime, now)
	}
	if c.Network != networkNone && c.Network != networkLoopback {
		return fmt.Errorf("network is %q, it must be %q or %q", c.Network, networkNone, networkLoopback)
	}
	if c.MaxThreads < 1 {
		return fmt.Errorf("maxThreads is %d, it must be at least 1", c.MaxThreads)
	}
	if !filepath.IsAbs(c.Logs.Dir) {
		return fmt.Errorf("logs.dir is %q, it must be an absolute path", c.Logs.Dir)
	}
	if c.Logs.MaxBytes < minLogBytes {
		return fmt.Errorf("logs.maxBytes is %d, it must be at least %d", c.Logs.MaxBytes, minLogBytes)
	}
	if c.Socket != "" && (len(c.Socket) < 2 || len(c.Socket) > 107 || c.Socket[0] != '@') {
		return fmt.Errorf("socket is %q, it must be empty or an abstract address: @ and 1 to 106 bytes", c.Socket)
	}
	if err := c.Env.check(); err != nil {
		return err
	}
	if c.Home != nil && strings.ContainsRune(*c.Home, 0) {
		return fmt.Errorf("home is %q, it contains a NUL character", *c.Home)
	}
	return c.Disk.check()
}

func (e *envConfig) check() error {
	for key, variables := range map[string]map[string]string{"SET": e.Set, "DEFAULT": e.Default} {
		for name, value := range variables {
			if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
				return fmt.Errorf("env.%s: %q is not a variable that can be set", key, name)
			}
		}
	}
	if slices.Contains(e.UnsetPrefixes, "") {
		return errors.New("env.UNSET_PREFIXES: an empty prefix would unset everything")
	}
	return nil
}

func (d *diskConfig) check() error {
	if d.LimitBytes < 0 {
		return fmt.Errorf("disk.limitBytes is %d, it must be 0 for no limit, or more", d.LimitBytes)
	}
	for _, path := range slices.Concat(d.Paths, d.Filesystems) {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("disk: %q is not an absolute path", path)
		}
	}
	return nil
}
