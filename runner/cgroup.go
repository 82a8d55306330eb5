package main

import (
	"os"
	"strconv"
	"strings"
)

// memoryEvents are where a container sees its own cgroup: version 2, then version 1.
var memoryEvents = []string{
	"/sys/fs/cgroup/memory.events",
	"/sys/fs/cgroup/memory/memory.oom_control",
}

// oomKills is how many processes of this container the kernel has killed for want of memory since it was made;
// known is false where no cgroup file is mounted. (The kubelet's OOMKilled is the fact; this explains it.)
func oomKills() (count int64, known bool) {
	for _, path := range memoryEvents {
		if text, err := os.ReadFile(path); err == nil {
			return oomKillCount(string(text))
		}
	}
	return 0, false
}

func oomKillCount(text string) (count int64, known bool) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			count, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return count, err == nil
		}
	}
	return 0, false
}
