package main

import (
	"bytes"
	"os"
	"strconv"
)

// countThreads counts the threads of all processes in this PID namespace but the runner's own. It makes sense for
// PID 1 alone, and needs /proc: without it the count is 0.
func countThreads() int {
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
