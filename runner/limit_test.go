package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTimeLimit(t *testing.T) {
	for _, c := range []struct {
		name, script, signal string
		min, max             float64 // seconds
	}{
		{"dies of SIGTERM", "sleep 30", "SIGTERM", 0.9, 1.6},
		{"ignores SIGTERM", "trap '' TERM; while :; do sleep 0.1; done", "SIGKILL", 1.9, 2.8},
		{"ends politely", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done", "<nil>", 0.9, 1.6},
		{"is stopped", "kill -STOP $$", "SIGKILL", 1.9, 2.8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "/bin/sh", "-c", c.script)
			j.settings["limitSeconds"], j.settings["reserveSeconds"] = 4, 3
			r := j.run()
			record := r.ended(t, exitTimeLimit)
			if !record.TimedOut || text(record.Signal) != c.signal || !strings.Contains(r.errLog, "Time limit exceeded\n") {
				t.Errorf("%+v, signal %s", record, text(record.Signal))
			}
			if took := r.took.Seconds(); took < c.min || took > c.max {
				t.Errorf("took %.1f s", took)
			}
		})
	}
}

func TestTheLimitCountsFromThePodsStart(t *testing.T) {
	j := newJob(t, "/bin/sleep", "30")
	j.settings["startedAtBoottime"] = max(0, boottime()-56) // 60 - 3 - 56: one second is left
	if r := j.run(); r.ended(t, exitTimeLimit).RanSeconds > 2 {
		t.Errorf("%+v", r.record)
	}

	j = newJob(t, "/bin/sh", "-c", "echo started")
	j.settings["startedAtBoottime"] = max(0, boottime()-100)
	r := j.run()
	record := r.ended(t, exitTimeLimit)
	if r.stdout != "" || r.start != nil || !record.TimedOut || !strings.Contains(text(record.StartError), "before the algorithm could start") {
		t.Errorf("%q %+v", r.stdout, record)
	}
}

// A container's log reader that hangs must not keep the GPU.
func TestTheLimitHoldsThoughNobodyReadsTheOutput(t *testing.T) {
	ends := [2]int{}
	must(t, syscall.Pipe(ends[:]))
	defer syscall.Close(ends[0])
	stuck := os.NewFile(uintptr(ends[1]), "stuck")
	defer stuck.Close()
	j := newJob(t, "/bin/sh", "-c", "trap '' TERM; seq 1 200000 >&2; sleep 30")
	j.settings["limitSeconds"], j.settings["reserveSeconds"] = 4, 3
	j.output = stuck
	r := j.run()
	record := r.ended(t, exitTimeLimit)
	if !record.TimedOut || r.took > 9*time.Second || !strings.HasPrefix(r.errLog, "1\n2\n") {
		t.Errorf("%+v, took %v", record, r.took)
	}
}

func TestStopSignals(t *testing.T) {
	for _, c := range []struct {
		name, script, wants string
		code                int
	}{
		{"default", "sleep 30", "SIGTERM", 143},
		{"handled", "trap 'exit 7' TERM; while :; do sleep 0.1; done", "<nil>", 7},
		{"handled with exit 0", "trap 'exit 0' TERM; while :; do sleep 0.1; done", "<nil>", 143},
		{"ignored", "trap '' TERM; while :; do sleep 0.1; done", "SIGKILL", 137},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "/bin/sh", "-c", c.script)
			j.onStart = func(cmd *exec.Cmd) {
				time.AfterFunc(500*time.Millisecond, func() { cmd.Process.Signal(syscall.SIGTERM) })
			}
			r := j.run()
			record := r.ended(t, c.code)
			if text(record.Signal) != c.wants || record.TimedOut || r.took > 4*time.Second {
				t.Errorf("signal %s, %+v, took %v", text(record.Signal), record, r.took)
			}
		})
	}
}

func TestOtherSignalsArePassedOnAndDoNotEndIt(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "trap 'echo usr1' USR1; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; exit 6")
	j.onStart = func(cmd *exec.Cmd) {
		time.AfterFunc(300*time.Millisecond, func() { cmd.Process.Signal(syscall.SIGUSR1) })
	}
	// sleep is in the group too and dies of it; the shell goes on.
	if r := j.run(); r.ended(t, 6) == nil || r.stdout != "usr1\n" {
		t.Errorf("%q", r.stdout)
	}
}
