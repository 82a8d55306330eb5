// Command runner is PID 1 of an algorithm's container. It starts the image's own command without network,
// ends it at the time limit, keeps its output and tells the collector how it ended. See README.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
)

// version is set at build time: -ldflags "-X main.version=1.2.3".
var version = "dev"

// Exit codes that are not the algorithm's own, as in Docker and timeout(1).
const (
	exitTimeLimit     = 124
	exitInternal      = 125
	exitNotExecutable = 126
	exitNotFound      = 127
)

// gcPercent keeps the runner small: its memory counts as the algorithm's, and it allocates hardly anything.
const gcPercent = 20

func main() {
	switch {
	case len(os.Args) == 1:
		os.Exit(run())
	case len(os.Args) == 2 && os.Args[1] == "version":
		fmt.Println(version)
	case os.Args[1] == launchCommand:
		os.Exit(launchMain(os.Args[2:]))
	case len(os.Args) == 3 && os.Args[1] == "user":
		os.Exit(userMain(os.Args[2]))
	default:
		fmt.Fprintln(os.Stderr, "usage: runner (settings in run.json beside it) | runner user USER[:GROUP] | runner version")
		os.Exit(2)
	}
}

// say prints one line of the runner's own to stderr. It is for the time before the streams exist.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "runner: "+format+"\n", args...)
}

// run does the whole job and returns the exit code of the container.
func run() int {
	started := time.Now()
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(parallelism)
	signals := catchSignals()
	self, err := executable()
	if err != nil {
		say("%v", err)
		return exitInternal
	}
	cfg, err := loadConfig(filepath.Join(filepath.Dir(self), "run.json"))
	if err != nil {
		say("%v", err)
		return exitInternal
	}
	if err := harden(); err != nil {
		say("%v", err)
		return exitInternal
	}
	collector, err := dialCollector(cfg, signals.stop)
	if err != nil {
		say("%v. The algorithm was not started.", err)
		return exitInternal
	}
	defer collector.close()

	record := newExitRecord(time.Now())
	streams, err := openStreams(cfg.Logs)
	if err != nil {
		say("%v. The algorithm was not started.", err)
		record.fail(exitInternal, err.Error())
	} else {
		runAlgorithm(cfg, self, started, signals, collector, streams, record)
		streams.finish(record)
	}
	if err := collector.send(record); err != nil {
		say("the exit record did not reach the collector: %v", err)
	}
	return record.ExitCode
}

// runAlgorithm starts the algorithm, waits until it and all it started are dead, and fills in the record.
func runAlgorithm(cfg *config, self string, born time.Time, signals incoming, c *collector, s *streams, r *exitRecord) {
	groups := ownCgroups()
	oomBefore, _ := groups.oomKills()
	fail := func(f *startFailure) {
		s.notice(f.message)
		r.fail(f.code, f.message)
	}
	cmd, failure := resolveCommand(cfg, os.Environ())
	if failure != nil {
		fail(failure)
		return
	}
	if deadlinePassed(cfg) {
		r.TimedOut = true
		fail(&startFailure{exitTimeLimit, "The time limit was over before the algorithm could start"})
		return
	}
	threads := startThreadWatch(cfg.MaxThreads) // a bomb leaves no time to begin after it
	child, failure := launch(self, cfg, cmd, s, func() error {
		r.StartedAt = time.Now().UTC()
		return c.send(startEvent{Event: "start", Version: 1, PID: os.Getpid(), Seccomp: true})
	})
	if failure != nil {
		fail(failure)
		return
	}
	started := time.Now()
	end := supervise(cfg, child.pid, born, threads, signals, s)
	r.RanSeconds = end.at.Sub(started).Seconds()
	r.setEnd(end)
	if child.denied != nil {
		r.DeniedSockets = child.denied.counts()
	}
	if oomAfter, known := groups.oomKills(); known {
		kills := oomAfter - oomBefore
		r.OOMKills = &kills
	}
	r.setUse(groups)
}

// executable is the runner's own path. /proc is asked first, but an image need not have it.
func executable() (string, error) {
	if path, err := os.Executable(); err == nil {
		return path, nil
	}
	if filepath.IsAbs(os.Args[0]) {
		return os.Args[0], nil
	}
	return "", fmt.Errorf("the runner cannot find itself: /proc is missing and its argv[0] is %q, not an absolute path", os.Args[0])
}
