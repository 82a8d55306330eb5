package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// childJob runs the test binary in the given role as the algorithm.
func childJob(t *testing.T, role string) *job {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	j := newJob(t, self)
	j.settings["env"] = settings{"SET": settings{"RUNNER_TEST_CHILD": role}, "UNSET_PREFIXES": []string{}}
	return j
}

// asNobody makes the runner run as an ordinary user, as in a Pod.
func (j *job) asNobody() {
	if os.Getuid() != 0 {
		return // it does anyway
	}
	j.t.Helper()
	for dir := j.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(j.t, os.Chmod(dir, 0o755))
	}
	must(j.t, os.Chmod(filepath.Join(j.dir, "logs"), 0o777))
	// The test binary is in a folder of the go command that others cannot enter.
	if argv := j.settings["entrypoint"].([]string); len(argv) == 1 {
		program, err := os.ReadFile(argv[0])
		must(j.t, err)
		argv[0] = filepath.Join(j.dir, "algorithm")
		must(j.t, os.WriteFile(argv[0], program, 0o755))
	}
	j.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 23456, Gid: 23456}}
}

func TestTheRunnerIsOutOfReach(t *testing.T) {
	p, _ := probeWith(t, networkNone)
	for what, answer := range p.Parent {
		if answer == "ok" {
			t.Errorf("the algorithm can reach the runner's %s", what)
		}
	}
}

func TestForeignSystemCallsAreDeadly(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("i386 and x32 exist on amd64 alone")
	}
	for _, role := range []string{"x32", "i386"} {
		for _, network := range []string{networkNone, networkLoopback} {
			t.Run(role+" "+network, func(t *testing.T) {
				j := childJob(t, role)
				j.settings["network"] = network
				r := j.run()
				if record := r.ended(t, 128+int(syscall.SIGSYS)); text(record.Signal) != "SIGSYS" || r.stdout != "" {
					t.Errorf("%s %q", text(record.Signal), r.stdout)
				}
			})
		}
	}
}

func TestNoDescriptorIsInherited(t *testing.T) {
	r := newJob(t, "/bin/sh", "-c", "readlink /proc/self/fd/0; ls /proc/$$/fd").run()
	r.ended(t, 0)
	// sh holds the standard three; what the engine leaked (3) and the launcher's socket are gone.
	if got := strings.Fields(r.stdout); strings.Join(got, " ") != "/dev/null 0 1 2" {
		t.Errorf("descriptors %v", got)
	}
}

func TestSignalsAreAtTheirDefaultsInTheAlgorithm(t *testing.T) {
	r := newJob(t, "/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status").run()
	r.ended(t, 0)
	if strings.Count(r.stdout, "0000000000000000\n") != 2 {
		t.Errorf("%q", r.stdout)
	}
}

// inOwnNamespace makes the runner PID 1, as in a container.
func (j *job) inOwnNamespace() {
	j.t.Helper()
	unshare, err := exec.LookPath("unshare")
	must(j.t, err)
	wrap := []string{unshare, "--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Getuid() != 0 {
		wrap = append(wrap, "--user", "--map-current-user")
	}
	if out, err := exec.Command(wrap[0], append(wrap[1:], "true")...).CombinedOutput(); err != nil {
		j.t.Skipf("no PID namespace can be made here: %v: %s", err, out)
	}
	j.wrap = wrap
}

func TestAsPID1EverythingDiesWithTheAlgorithm(t *testing.T) {
	// setsid and closed pipes: neither the process group nor the streams tell of this one.
	j := newJob(t, "/bin/sh", "-c", "setsid sh -c 'exec >/dev/null 2>&1; trap \"\" TERM; sleep 0.4; touch "+"\"$0\"; sleep 30' alive & echo $$; exit 5")
	j.inOwnNamespace()
	r := j.run()
	r.ended(t, 5)
	if r.start.PID != 1 || r.took.Seconds() > 2 {
		t.Errorf("pid %d, took %v", r.start.PID, r.took)
	}
	if _, err := os.Stat(filepath.Join(j.dir, "alive")); err == nil {
		t.Error("the orphan lived on")
	}
}

func TestAsPID1ManyOrphansAreReaped(t *testing.T) {
	j := newJob(t, "/bin/sh", "-c", `for i in $(seq 50); do (sh -c 'exit 1' &) ; done; sleep 0.5; ls -d /proc/[0-9]* | wc -l`)
	j.inOwnNamespace()
	r := j.run()
	r.ended(t, 0)
	// runner, sh, ls, wc
	if got := strings.TrimSpace(r.stdout); got != "3" && got != "4" {
		t.Errorf("%s processes are left", got)
	}
}

func TestAsPID1ThreadsAreLimited(t *testing.T) {
	for limit, exceeded := range map[int]bool{20: true, 200: false} {
		j := childJob(t, "threads")
		j.inOwnNamespace()
		j.settings["maxThreads"], j.settings["limitSeconds"], j.settings["reserveSeconds"] = limit, 3, 1
		r := j.run()
		if !exceeded {
			if record := r.ended(t, exitTimeLimit); record.ThreadsExceeded {
				t.Errorf("%+v", record)
			}
			continue
		}
		record := r.ended(t, 137)
		if !record.ThreadsExceeded || record.TimedOut || !strings.Contains(record.LastStderrLine, "the limit is 20") {
			t.Errorf("%+v", record)
		}
	}
}

// A runner that is one among a thousand busy processes, with a fifth of a processor for all of them.
func TestAsPID1AForkBombEndsSoon(t *testing.T) {
	j := childJob(t, "bomb")
	// What keeps a runner busy: the image may say so, and looks at the disk take time.
	j.env = append(j.env, "GOMAXPROCS=1")
	j.settings["disk"] = settings{"limitBytes": 1 << 20, "paths": []string{filepath.Join(j.dir, "logs")}}
	j.inOwnNamespace()
	j.inSmallGroup()
	r := j.run()
	if record := r.ended(t, 137); !record.ThreadsExceeded || record.TimedOut || record.PeakThreads <= 512 {
		t.Errorf("%+v", record)
	}
	if r.took.Seconds() > 15 { // so long a GPU may stay taken after a limit
		t.Errorf("it took %v", r.took)
	}
}

// inSmallGroup gives the runner and all that it starts a fifth of a processor and 1024 processes, and lets it see, as
// in a container, the control group of its own.
func (j *job) inSmallGroup() {
	j.t.Helper()
	const all = "/sys/fs/cgroup"
	name := fmt.Sprintf("runner-test-%d", os.Getpid())
	limits := map[string][2]string{"cpu": {"cpu.cfs_quota_us", "20000"}, "pids": {"pids.max", "1024"}}
	shown := filepath.Join(all, "pids")
	if _, err := os.Stat(filepath.Join(all, "cgroup.controllers")); err == nil { // version 2: one group
		limits = map[string][2]string{".": {"cpu.max", "20000"}, "./": {"pids.max", "1024"}}
		shown = all
	}
	var groups []string
	for controller, limit := range limits {
		group := filepath.Join(all, controller, name)
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			j.t.Skipf("no control group can be made here: %v", err)
		}
		j.t.Cleanup(func() { syscall.Rmdir(group) })
		if err := os.WriteFile(filepath.Join(group, limit[0]), []byte(limit[1]), 0); err != nil {
			j.t.Skipf("no limit can be set here: %v", err)
		}
		groups = append(groups, group)
	}
	enter := []string{"/bin/sh", "-c", `echo $$ >"$0/cgroup.procs" && echo $$ >"$1/cgroup.procs" && shift && exec "$@"`}
	show := []string{"/bin/sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, filepath.Join(shown, name), shown}
	j.wrap = slices.Concat(enter, groups, j.wrap, show)
}

func TestAsPID1SignalsOfTheAlgorithmDoNotEndTheRunner(t *testing.T) {
	j := childJob(t, "flood")
	// They are passed on to the algorithm's own group, so it has to ignore what it causes.
	script := `trap '' $(seq 1 64 | grep -vx -e 9 -e 17 -e 19); setsid "$0"; sleep 0.3; echo still here; exit 9`
	j.settings["entrypoint"] = []string{"/bin/sh", "-c", script, j.settings["entrypoint"].([]string)[0]}
	j.inOwnNamespace()
	r := j.run()
	if r.ended(t, 9); r.stdout != "still here\n" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
}
