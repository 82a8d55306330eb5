package main

import (
	"bytes"
	"os"
	"strconv"
)

// taskCounts are where a container sees how many threads its cgroup has: version 2, then version 1.
var taskCounts = []string{"/sys/fs/cgroup/pids.current", "/sys/fs/cgroup/pids/pids.current"}

// countThreads counts the threads of all processes in this PID namespace but the runner's own. It makes sense for
// PID 1 alone, and needs the cgroup or /proc: without them the count is 0. The cgroup knows at once what /proc tells
// one process at a time, which takes longest when there are too many.
func countThreads() int {
	own, err := os.ReadFile("/proc/self/stat")
	for _, path := range taskCounts {
		if text, failed := os.ReadFile(path); failed == nil && err == nil {
			if tasks, err := strconv.Atoi(string(bytes.TrimSpace(text))); err == nil {
				return max(tasks-threadsOf(own), 0)
			}
		}
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return 0
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	total := 0
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err != nil || pid == 1 {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		total += threadsOf(stat)
	}
	return total
}

// threadsOf reads num_threads, field 20 of /proc/PID/stat. Field 2 is the process's name in brackets, which the
// process chooses: fields are counted from the last bracket.
func threadsOf(stat []byte) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 18 {
		return 0
	}
	threads, err := strconv.Atoi(string(fields[17]))
	if err != nil {
		return 0
	}
	return threads
}
