package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func probeWith(t *testing.T, network string) (probed, *exitRecord) {
	t.Helper()
	j := childJob(t, "probe")
	j.asNobody()
	j.settings["network"] = network
	return runProbe(t, j)
}

func runProbe(t *testing.T, j *job) (probed, *exitRecord) {
	t.Helper()
	r := j.run()
	record := r.ended(t, 0)
	var p probed
	if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
		t.Fatalf("%q: %v", r.stdout, err)
	}
	return p, record
}

func TestNoNetwork(t *testing.T) {
	p, record := probeWith(t, networkNone)
	p.hasNoSockets(t)
	want := map[string]int64{"AF_INET": 3, "AF_INET6": 1, "AF_NETLINK": 1, "AF_PACKET": 1, "AF_VSOCK": 1, "AF_ALG": 1, "other": 1}
	if !maps.Equal(record.DeniedSockets, want) {
		t.Errorf("counted %v, want %v", record.DeniedSockets, want)
	}
}

func TestWithoutListenerSocketsAreRefusedUncounted(t *testing.T) {
	j := childJob(t, "probe")
	j.asNobody()
	j.wrap, j.env = j.settings["entrypoint"].([]string), []string{"RUNNER_TEST_CHILD=no listener"}
	p, record := runProbe(t, j)
	p.hasNoSockets(t)
	if record.DeniedSockets != nil {
		t.Errorf("%v", record.DeniedSockets)
	}
}

func TestNothingDeniedIsANumber(t *testing.T) {
	record := newJob(t, "/bin/true").run().ended(t, 0)
	if record.DeniedSockets == nil || len(record.DeniedSockets) > 0 {
		t.Errorf("%v", record.DeniedSockets)
	}
}

// A flood of refused calls must cost the runner little, and must not keep it from its duties.
func TestSocketFlood(t *testing.T) {
	j := childJob(t, "socket flood")
	var busy time.Duration
	j.onStart = func(cmd *exec.Cmd) {
		time.AfterFunc(1800*time.Millisecond, func() { busy = cpuTime(t, cmd.Process.Pid) })
	}
	r := j.run()
	record := r.ended(t, 0)
	var calls, wrong int64
	if _, err := fmt.Sscan(r.stdout, &calls, &wrong); err != nil || wrong != 0 {
		t.Fatalf("%q: %v", r.stdout, err)
	}
	counted, most := record.DeniedSockets["AF_INET6"], int64(3*deniedBurst*int(time.Second/deniedInterval))
	if calls < 1000 || counted < calls || counted > calls+64+deniedBurst || calls > most {
		t.Errorf("%d calls, at most %d were to be answered, %d were counted", calls, most, counted)
	}
	if busy == 0 || busy > 500*time.Millisecond || r.took > 4*time.Second {
		t.Errorf("the runner was busy for %v of 1.8 s; took %v", busy, r.took)
	}
	t.Logf("%d calls answered, %v of CPU in 1.8 s", calls, busy)
}

// cpuTime is the CPU time of one process, without its children.
func cpuTime(t *testing.T, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Error(err)
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Error(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

func (p probed) hasNoSockets(t *testing.T) {
	t.Helper()
	for family, answer := range p.Sockets {
		want := syscall.EAFNOSUPPORT.Error()
		if family == "unix" {
			want = "ok"
		}
		if answer != want {
			t.Errorf("socket %s: %s, want %s", family, answer, want)
		}
	}
	if len(p.Sockets) != 9 || p.Pair != "ok" || p.InetPair != syscall.EAFNOSUPPORT.Error() || p.IoUring != syscall.ENOSYS.Error() {
		t.Errorf("%+v", p)
	}
	if p.NoNewPrivs != 1 || !p.Session {
		t.Errorf("no_new_privs %d, own session %v", p.NoNewPrivs, p.Session)
	}
}

// Without it the test above could pass on a machine that has no network at all.
func TestLoopbackHasIPAlone(t *testing.T) {
	p, record := probeWith(t, networkLoopback)
	if p.Sockets["inet"] != "ok" || p.Sockets["inet6"] != "ok" || p.Sockets["netlink"] != "ok" || p.Sockets["unix"] != "ok" || p.IoUring != syscall.ENOSYS.Error() || p.NoNewPrivs != 1 {
		t.Errorf("%+v", p)
	}
	for _, family := range []string{"packet", "vsock", "alg", "none"} {
		if p.Sockets[family] != syscall.EAFNOSUPPORT.Error() {
			t.Errorf("%s: %s", family, p.Sockets[family])
		}
	}
	want := map[string]int64{"AF_PACKET": 1, "AF_VSOCK": 1, "AF_ALG": 1, "other": 1}
	if !maps.Equal(record.DeniedSockets, want) {
		t.Errorf("counted %v, want %v", record.DeniedSockets, want)
	}
}
