package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

func TestNoCoreDumpsAndBehindTheRunner(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "ulimit -c; ulimit -Hc; cat /proc/$$/limits | grep core; nice")
	r := j.run()
	r.ended(t, 0)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if fields := strings.Fields(lines[2]); fields[4] != "1" || fields[5] != "1" {
		t.Errorf("core limits are %q", lines[2])
	}
	if lines[3] != "19" {
		t.Errorf("niceness is %s", lines[3])
	}
}

// With GOMAXPROCS=1 in the image a bomb of processes lived for a minute.
func TestTheImageDoesNotSayHowManyOfTheRunnersThreadsRun(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", "echo $GOMAXPROCS; sleep 0.5")
	j.env = append(j.env, "GOMAXPROCS=1", "GODEBUG=schedtrace=100")
	r := j.run()
	r.ended(t, 0)
	if r.stdout != "1\n" {
		t.Errorf("the algorithm saw %q", r.stdout)
	}
	trace := strings.Split(strings.TrimSpace(r.stderr), "\n")
	if last := trace[len(trace)-1]; !strings.Contains(last, fmt.Sprintf("gomaxprocs=%d ", parallelism)) {
		t.Errorf("%q", last)
	}
}

// The runner is of the same user, so nothing but the filter keeps its limits and priorities.
func TestLimitsAndPrioritiesOfOthersAreNotToBeSet(t *testing.T) {
	for name, c := range map[string]struct {
		refused, allowed string
	}{
		"prlimit64":          {"prlimit --pid $PPID --nofile=0", "prlimit --pid $PPID --nofile && ulimit -n 64"},
		"setpriority":        {"renice -n 19 -p $PPID", "nice -n 1 true"},
		"setpriority, user":  {"renice -n 19 -u $(id -u)", "nice -n 1 true"},
		"sched_setscheduler": {"chrt --idle -p 0 $PPID", "chrt --idle 0 true"},
		"ioprio_set":         {"ionice -c 3 -p $PPID", "ionice -c 3 true"},
	} {
		t.Run(name, func(t *testing.T) {
			program := strings.Fields(c.refused)[0]
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("there is no %s here", program)
			}
			for _, network := range []string{networkNone, networkLoopback} {
				j := newJob(t, "/bin/sh", "-c", c.refused+" && exit 1; "+c.allowed+" || exit 2")
				j.asNobody()
				j.settings["network"] = network
				r := j.run()
				r.ended(t, 0)
				if !strings.Contains(r.stderr, "not permitted") {
					t.Errorf("%s: %q", network, r.stderr)
				}
			}
		})
	}
}
