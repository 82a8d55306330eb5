package main

import (
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// cgroups is where this process sees its own control groups: one folder in version 2, one for each controller in
// version 1; on a hybrid system both, and a controller is in one of them. Empty: not visible. The top of each is the
// place of the mount, above which nothing can be seen.
type cgroups struct {
	unified cgroupDir
	v1      map[string]cgroupDir
}

type cgroupDir struct{ path, top string }

// ownCgroups finds the control groups of this process, also where its cgroup namespace is the node's.
func ownCgroups() cgroups {
	membership, _ := os.ReadFile("/proc/self/cgroup")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	return locateCgroups(string(membership), string(mounts))
}

// locateCgroups reads /proc/self/cgroup, lines of "number:controllers:path", and /proc/self/mountinfo, which says of
// which path each mount is.
func locateCgroups(membership, mounts string) cgroups {
	found := cgroups{v1: map[string]cgroupDir{}}
	for line := range strings.Lines(membership) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		if fields[1] == "" {
			found.unified = mountOf(mounts, "cgroup2", "", fields[2])
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			found.v1[controller] = mountOf(mounts, "cgroup", controller, fields[2])
		}
	}
	return found
}

// mountOf is the folder that shows the group `own` in a mount of that type and controller.
func mountOf(mounts, kind, controller, own string) cgroupDir {
	for line := range strings.Lines(mounts) {
		if !strings.Contains(line, " - "+kind+" ") { // a node has many mounts
			continue
		}
		left, right, _ := strings.Cut(line, " - ")
		mount, source := strings.Fields(left), strings.Fields(right)
		if len(mount) < 5 || len(source) < 3 || source[0] != kind {
			continue
		}
		if controller != "" && !strings.Contains(","+source[2]+",", ","+controller+",") {
			continue
		}
		root, point := mount[3], mount[4]
		if below, ok := strings.CutPrefix(own, strings.TrimSuffix(root, "/")); ok && (below == "" || below[0] == '/') {
			return cgroupDir{path.Join(point, below), point}
		}
	}
	return cgroupDir{}
}

// text reads a file of the group; known is false if it is not there.
func (d cgroupDir) text(name string) (text string, known bool) {
	if d.path == "" {
		return "", false
	}
	content, err := os.ReadFile(path.Join(d.path, name))
	return strings.TrimSpace(string(content)), err == nil
}

// oomKills is how many processes of this container the kernel has killed for want of memory since it was made. (The
// kubelet's OOMKilled is the fact; this explains it, and tells of a child that was killed.)
func (c cgroups) oomKills() (count int64, known bool) {
	text, known := c.unified.text("memory.events")
	if !known {
		text, _ = c.v1["memory"].text("memory.oom_control")
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			count, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return count, err == nil
		}
	}
	return 0, false
}

// peakMemory is the most memory that the container had at a time, page cache included; 0: not told.
func (c cgroups) peakMemory() int64 {
	text, known := c.unified.text("memory.peak")
	if !known {
		text, _ = c.v1["memory"].text("memory.max_usage_in_bytes")
	}
	peak, _ := strconv.ParseInt(text, 10, 64)
	return peak
}

// limitsSeen are the limits that the kernel holds the container to; nil: none, or none to be seen.
type limitsSeen struct {
	CPUs        *float64 `json:"cpus"`
	MemoryBytes *int64   `json:"memoryBytes"`
	SwapBytes   *int64   `json:"swapBytes"`
	PIDs        *int64   `json:"pids"`
}

// limits are the narrowest of the container's own group and of those above it that are visible.
func (c cgroups) limits() limitsSeen {
	memory := c.v1["memory"]
	seen := limitsSeen{
		MemoryBytes: least(c.unified.numbers("memory.max")),
		SwapBytes:   least(c.unified.numbers("memory.swap.max")),
		PIDs:        least(append(c.unified.numbers("pids.max"), c.v1["pids"].numbers("pids.max")...)),
	}
	if seen.MemoryBytes == nil {
		seen.MemoryBytes = least(memory.numbers("memory.limit_in_bytes"))
	}
	// Version 1 limits memory and swap together.
	if both := least(memory.numbers("memory.memsw.limit_in_bytes")); seen.SwapBytes == nil && both != nil && seen.MemoryBytes != nil {
		swap := max(0, *both-*seen.MemoryBytes)
		seen.SwapBytes = &swap
	}
	for _, cpus := range append(c.unified.quotas("cpu.max", ""), c.v1["cpu"].quotas("cpu.cfs_quota_us", "cpu.cfs_period_us")...) {
		if seen.CPUs == nil || cpus < *seen.CPUs {
			seen.CPUs = &cpus
		}
	}
	return seen
}

// upwards are the group and those above it.
func (d cgroupDir) upwards() []cgroupDir {
	if d.path == "" {
		return nil
	}
	dirs := []cgroupDir{d}
	for d.path != d.top && len(d.path) > len(d.top) {
		d.path = path.Dir(d.path)
		dirs = append(dirs, d)
	}
	return dirs
}

// numbers are the limits in files of that name; "max" and the pages of a whole address space are none.
func (d cgroupDir) numbers(name string) (limits []int64) {
	for _, dir := range d.upwards() {
		text, _ := dir.text(name)
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && n < math.MaxInt64/2 {
			limits = append(limits, n)
		}
	}
	return limits
}

// quotas are limits in CPUs: a quota of time in each period, in one file or in two.
func (d cgroupDir) quotas(quotaName, periodName string) (limits []float64) {
	for _, dir := range d.upwards() {
		text, _ := dir.text(quotaName)
		if periodName != "" {
			period, _ := dir.text(periodName)
			text += " " + period
		}
		fields := strings.Fields(text)
		if len(fields) != 2 {
			continue
		}
		quota, err := strconv.ParseFloat(fields[0], 64)
		if period, periodErr := strconv.ParseFloat(fields[1], 64); err == nil && periodErr == nil && quota > 0 && period > 0 {
			limits = append(limits, quota/period)
		}
	}
	return limits
}

func least(values []int64) *int64 {
	var found *int64
	for _, value := range values {
		if found == nil || value < *found {
			found = &value
		}
	}
	return found
}
