package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// binary is the runner, built as it ships. The tests start it as a container engine would.
var binary string

func TestMain(m *testing.M) {
	if role := os.Getenv("RUNNER_TEST_CHILD"); role != "" {
		os.Exit(childMain(role))
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runner-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "runner")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

type settings map[string]any

// job is one run of the runner in a folder of its own.
type job struct {
	t        *testing.T
	dir      string
	settings settings
	env      []string
	wrap     []string // a command to run the runner under
	attr     *syscall.SysProcAttr
	listener net.Listener
	output   *os.File        // in place of buffers, for both streams
	onStart  func(*exec.Cmd) // called when the algorithm is about to start
}

// result is what could be seen from outside.
type result struct {
	code           int
	stdout, stderr string
	outLog, errLog string
	start          *startEvent
	record         *exitRecord
	lines          int
	took           time.Duration
}

var socketNumber atomic.Int64

func newJob(t *testing.T, argv ...string) *job {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "logs"), 0o777))
	program, err := os.ReadFile(binary)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "bin", "runner"), program, 0o755))
	socket := fmt.Sprintf("@runner-test-%d-%d", os.Getpid(), socketNumber.Add(1))
	listener, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	return &job{t: t, dir: dir, listener: listener,
		env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent"},
		settings: settings{
			"version": 1, "entrypoint": argv, "cmd": nil,
			"startedAt": time.Now().UTC().Format(time.RFC3339Nano), "startedAtBoottime": boottime(),
			"limitSeconds": 60, "reserveSeconds": 3, "termGraceSeconds": 1,
			"network": "None", "maxThreads": 512,
			"logs":   settings{"dir": filepath.Join(dir, "logs"), "maxBytes": 65536},
			"socket": socket, "socketTimeoutSeconds": 5,
			"env": settings{"SET": settings{}, "UNSET_PREFIXES": []string{"KUBERNETES_"}},
		}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (j *job) runnerPath() string      { return filepath.Join(j.dir, "bin", "runner") }
func (j *job) logPath(n string) string { return filepath.Join(j.dir, "logs", n) }

// run writes run.json, runs the runner and acts as the collector.
func (j *job) run() result {
	j.t.Helper()
	text, err := json.Marshal(j.settings)
	must(j.t, err)
	return j.runWith(text)
}

func (j *job) runWith(runJSON []byte) result {
	j.t.Helper()
	must(j.t, os.WriteFile(filepath.Join(j.dir, "bin", "run.json"), runJSON, 0o644))
	argv := append(append([]string{}, j.wrap...), j.runnerPath())
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = j.env, j.dir, j.attr
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if j.output != nil {
		cmd.Stdout, cmd.Stderr = j.output, j.output
	}
	// What a container engine leaks must not reach the algorithm.
	leak, err := os.Open("/dev/zero")
	must(j.t, err)
	defer leak.Close()
	cmd.ExtraFiles = []*os.File{leak}

	var r result
	collected := make(chan struct{})
	started := time.Now()
	must(j.t, cmd.Start())
	go func() {
		defer close(collected)
		j.collect(cmd, &r)
	}()
	timer := time.AfterFunc(50*time.Second, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	timer.Stop()
	r.took = time.Since(started)
	j.listener.Close()
	<-collected
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		j.t.Fatal(err)
	}
	r.code = cmd.ProcessState.ExitCode()
	r.stdout, r.stderr = out.String(), errs.String()
	r.outLog, r.errLog = j.read("stdout.log"), j.read("stderr.log")
	return r
}

func (j *job) read(name string) string {
	text, err := os.ReadFile(j.logPath(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		j.t.Error(err)
	}
	return string(text)
}

// collect accepts once, closes the listener, and reads lines until the end, as the collect step does.
func (j *job) collect(cmd *exec.Cmd, r *result) {
	conn, err := j.listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	j.listener.Close()
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) || len(line) > 0 {
				j.t.Errorf("the socket ended with %q, %v", line, err)
			}
			return
		}
		r.lines++
		var kind struct {
			Event string `json:"event"`
		}
		if err := json.Unmarshal(line, &kind); err != nil {
			j.t.Errorf("not JSON: %q", line)
		}
		switch kind.Event {
		case "start":
			r.start = &startEvent{}
			err = json.Unmarshal(line, r.start)
			if j.onStart != nil {
				j.onStart(cmd)
			}
		case "exit":
			r.record = &exitRecord{}
			err = json.Unmarshal(line, r.record)
		default:
			err = fmt.Errorf("unknown event")
		}
		if err != nil {
			j.t.Errorf("%q: %v", line, err)
		}
	}
}

// ended fails the test unless a record came whose exit code is also the runner's.
func (r result) ended(t *testing.T, code int) *exitRecord {
	t.Helper()
	if r.record == nil {
		t.Fatalf("no exit record; exit code %d, stderr %q", r.code, r.stderr)
	}
	if r.code != code || r.record.ExitCode != code {
		t.Fatalf("exit code %d, record %d, want %d; stderr %q", r.code, r.record.ExitCode, code, r.stderr)
	}
	return r.record
}

func text(p *string) string {
	if p == nil {
		return "<nil>"
	}
	return *p
}
