package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// cgroupTree makes files below a folder, and from mountinfo lines with %R the text for that folder.
func cgroupTree(t *testing.T, mounts string, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	return strings.ReplaceAll(mounts, "%R", root)
}

const (
	v2Private = "1523 1512 0:29 / %R/sys rw,nosuid,nodev,noexec,relatime master:9 - cgroup2 cgroup rw,nsdelegate\n"
	v2Node    = "1523 1512 0:29 / %R/sys ro - cgroup2 cgroup rw\n"
	v2Bind    = "1523 1512 0:29 /kubepods.slice/pod1/c1 %R/sys ro - cgroup2 cgroup rw\n"
	v1Bind    = "285 284 0:111 / %R/sys rw - tmpfs tmpfs rw,mode=755\n" +
		"289 285 0:29 /kubepods/pod1/c1 %R/sys/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n" +
		"292 285 0:32 /kubepods/pod1/c1 %R/sys/memory ro,relatime - cgroup cgroup rw,memory\n" +
		"296 285 0:36 /kubepods/pod1/c1 %R/sys/pids ro - cgroup cgroup rw,pids\n"
	v1Private = "289 285 0:29 / %R/sys/cpu ro - cgroup cgroup rw,cpu\n292 285 0:32 / %R/sys/memory ro - cgroup cgroup rw,memory\n"
	hybrid    = v1Bind + "38 31 0:38 /kubepods/pod1/c1 %R/sys/unified rw - cgroup2 cgroup2 rw\n"
)

const v1Membership = "11:memory:/kubepods/pod1/c1\n8:pids:/kubepods/pod1/c1\n1:cpu,cpuacct:/kubepods/pod1/c1\n0::/kubepods/pod1/c1\n"

func TestCgroups(t *testing.T) {
	v2Files := func(dir string) map[string]string {
		return map[string]string{
			dir + "memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1", dir + "memory.peak": "5000",
			dir + "cpu.max": "150000 100000", dir + "memory.max": "24000000000", dir + "memory.swap.max": "0", dir + "pids.max": "max",
		}
	}
	v1Files := map[string]string{
		"sys/memory/memory.oom_control":           "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
		"sys/memory/memory.max_usage_in_bytes":    "5000",
		"sys/memory/memory.limit_in_bytes":        "24000000000",
		"sys/memory/memory.memsw.limit_in_bytes":  "24000000000",
		"sys/cpu,cpuacct/cpu.cfs_quota_us":        "150000",
		"sys/cpu,cpuacct/cpu.cfs_period_us":       "100000",
		"sys/pids/pids.max":                       "max",
		"sys/unified/cgroup.events":               "populated 1",
		"sys/memory/memory.soft_limit_in_bytes":   "1",
		"sys/memory/memory.memsw.max_usage_bytes": "1",
	}
	const want = `{"cpus":1.5,"memoryBytes":24000000000,"swapBytes":0,"pids":null}`
	for _, c := range []struct {
		name, membership, mounts string
		files                    map[string]string
		want                     string
	}{
		{"v2, own namespace", "0::/\n", v2Private, v2Files("sys/"), want},
		{"v2, the node's namespace", "0::/kubepods.slice/pod1/c1\n", v2Bind, v2Files("sys/"), want},
		{"v2, the node's namespace and tree", "0::/kubepods.slice/pod1/c1\n", v2Node, v2Files("sys/kubepods.slice/pod1/c1/"), want},
		{"v1", v1Membership, v1Bind, v1Files, want},
		{"v1, hybrid", v1Membership, hybrid, v1Files, want},
		{"v1, own namespace", "4:memory:/\n1:cpu:/\n", v1Private, map[string]string{
			"sys/memory/memory.oom_control": "oom_kill 2", "sys/memory/memory.max_usage_in_bytes": "5000",
			"sys/memory/memory.limit_in_bytes": "9223372036854771712", "sys/memory/memory.memsw.limit_in_bytes": "9223372036854771712",
			"sys/cpu/cpu.cfs_quota_us": "-1", "sys/cpu/cpu.cfs_period_us": "100000",
		}, `{"cpus":null,"memoryBytes":null,"swapBytes":null,"pids":null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			groups := locateCgroups(c.membership, cgroupTree(t, c.mounts, c.files))
			if kills, known := groups.oomKills(); kills != 2 || !known {
				t.Errorf("%d processes killed, known: %v", kills, known)
			}
			if peak := groups.peakMemory(); peak != 5000 {
				t.Errorf("peak %d", peak)
			}
			got, err := json.Marshal(groups.limits())
			must(t, err)
			if string(got) != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestCgroupLimitsOfThoseAbove(t *testing.T) {
	files := map[string]string{
		"sys/a/b/memory.max": "200", "sys/a/memory.max": "100", "sys/a/pids.max": "512", "sys/a/b/pids.max": "max",
		"sys/a/b/cpu.max": "max 100000", "sys/a/cpu.max": "200000 100000", "memory.max": "1",
	}
	got, err := json.Marshal(locateCgroups("0::/a/b\n", cgroupTree(t, v2Node, files)).limits())
	must(t, err)
	if want := `{"cpus":2,"memoryBytes":100,"swapBytes":null,"pids":512}`; string(got) != want {
		t.Errorf("%s", got)
	}
}

func TestCgroupsThatAreNotVisible(t *testing.T) {
	for name, c := range map[string][2]string{
		"nothing":          {"", ""},
		"no mount":         {"0::/\n", ""},
		"another's":        {"0::/a/b\n", cgroupTree(t, "1 1 0:29 /a/bc %R/sys ro - cgroup2 cgroup rw\n", map[string]string{"sys/memory.peak": "5"})},
		"garbage":          {"\n:\n::\n0::\n", "1 2 3\n - cgroup2\n1 2 3 / / ro - cgroup2\n"},
		"an old v2 kernel": {"0::/\n", cgroupTree(t, v2Private, map[string]string{"sys/memory.events": "oom_kill_disable 0"})},
	} {
		groups := locateCgroups(c[0], c[1])
		if _, known := groups.oomKills(); known || groups.peakMemory() != 0 || groups.limits() != (limitsSeen{}) {
			t.Errorf("%s: %+v", name, groups)
		}
	}
}

// Against this machine's own tree, whichever version it has: the kernel must agree.
func TestOwnCgroups(t *testing.T) {
	groups := ownCgroups()
	if _, known := groups.oomKills(); !known {
		t.Skip("no memory cgroup of this process is visible here (the root of version 2 has none)")
	}
	if peak := groups.peakMemory(); peak == 0 {
		t.Error("no peak of memory")
	}
	for _, dir := range append([]cgroupDir{groups.unified}, groups.v1["memory"], groups.v1["pids"]) {
		if dir.path == "" {
			continue
		}
		processes, _ := dir.text("cgroup.procs")
		if pid := syscall.Getpid(); !strings.Contains("\n"+processes+"\n", "\n"+jsonText(pid)+"\n") {
			t.Errorf("%s is not the group of %d", dir.path, pid)
		}
	}
}

func jsonText(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

func TestWhatARunUsed(t *testing.T) {
	record := newJob(t, "/bin/sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; head -c 60000000 /dev/zero | tail -c 50000000 | wc -c >&2").run().ended(t, 0)
	if record.CPUSeconds < 0.05 || record.CPUSeconds > 30 || record.PeakMemoryBytes < 45_000_000 || record.LimitsSeen == nil {
		t.Errorf("%+v", record)
	}
}
