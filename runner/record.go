package main

import (
	"syscall"
	"time"
)

// startEvent is sent when the filter is in place, just before the algorithm's first instruction.
type startEvent struct {
	Event   string `json:"event"`
	Version int    `json:"version"`
	PID     int    `json:"pid"`
	Seccomp bool   `json:"seccomp"`
}

// exitRecord is sent once, when the algorithm and everything that it started are dead.
type exitRecord struct {
	Event string `json:"event"`
	// ExitCode is the container's exit code too: the algorithm's own, 128+n by a signal, or 124 to 127.
	ExitCode int     `json:"exitCode"`
	Signal   *string `json:"signal"`
	TimedOut bool    `json:"timedOut"`
	// StartError is a sentence for the owner; the algorithm never ran.
	StartError *string      `json:"startError"`
	StartedAt  time.Time    `json:"startedAt"`
	FinishedAt time.Time    `json:"finishedAt"`
	RanSeconds float64      `json:"ranSeconds"`
	Stdout     streamRecord `json:"stdout"`
	Stderr     streamRecord `json:"stderr"`
	// Combined is combined.jsonl: bytes of both streams, and how many of them are in its records.
	Combined       *streamRecord `json:"combined,omitempty"`
	LastStderrLine string        `json:"lastStderrLine"`
	// MaxRSSBytes is the peak of the largest process; PeakMemoryBytes that of the container, if its cgroup tells.
	MaxRSSBytes     int64 `json:"maxRssBytes"`
	PeakMemoryBytes int64 `json:"peakMemoryBytes"`
	// CPUSeconds of all processes that were reaped, user and system.
	CPUSeconds float64     `json:"cpuSeconds"`
	LimitsSeen *limitsSeen `json:"limitsSeen,omitempty"`
	// OOMKills counts processes of the container that the kernel killed for want of memory; absent if no cgroup is visible.
	OOMKills *int64 `json:"oomKills,omitempty"`
	// ThreadsExceeded is there only if the algorithm was ended for it.
	ThreadsExceeded bool `json:"threadsExceeded,omitempty"`
	// PeakThreads is the most that were counted at once; absent if nobody counted.
	PeakThreads int `json:"peakThreads,omitempty"`
	// DiskExceeded is there only if more was written than may be; DiskBytes is the most that was seen.
	DiskExceeded bool   `json:"diskExceeded,omitempty"`
	DiskBytes    *int64 `json:"diskBytes,omitempty"`
	// FullFilesystems are the paths of disk.filesystems that were seen full.
	FullFilesystems []string `json:"fullFilesystems,omitempty"`
	// DeniedSockets counts the sockets that the filter refused, by address family; absent where this kernel does not tell.
	DeniedSockets map[string]int64 `json:"deniedSockets,omitzero"`
}

// streamRecord: bytes that the algorithm wrote, and how many of them are in the log file.
type streamRecord struct {
	Bytes int64 `json:"bytes"`
	Kept  int64 `json:"kept"`
}

// newExitRecord is the record of a run that has not started.
func newExitRecord(now time.Time) *exitRecord {
	return &exitRecord{Event: "exit", StartedAt: now.UTC(), FinishedAt: now.UTC()}
}

func (r *exitRecord) fail(code int, message string) {
	r.ExitCode, r.StartError = code, &message
	r.FinishedAt = time.Now().UTC()
}

// setUse takes over what the algorithm used and was held to, when everything that it started was reaped.
func (r *exitRecord) setUse(groups cgroups) {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage) == nil {
		r.CPUSeconds = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	}
	if r.PeakMemoryBytes = groups.peakMemory(); r.PeakMemoryBytes == 0 {
		r.PeakMemoryBytes = r.MaxRSSBytes
	}
	limits := groups.limits()
	r.LimitsSeen = &limits
}

// setEnd takes over how the main process ended.
func (r *exitRecord) setEnd(end ending) {
	r.FinishedAt = end.at.UTC()
	r.TimedOut, r.ThreadsExceeded = end.timedOut, end.threadsExceeded
	r.DiskExceeded, r.DiskBytes, r.FullFilesystems = end.diskExceeded, end.diskBytes, end.fullFilesystems
	r.MaxRSSBytes, r.PeakThreads = end.maxRSSBytes, end.peakThreads
	if end.status.Signaled() {
		name := signalName(end.status.Signal())
		r.Signal = &name
		r.ExitCode = 128 + int(end.status.Signal())
	} else {
		r.ExitCode = end.status.ExitStatus()
	}
	switch {
	case end.timedOut:
		r.ExitCode = exitTimeLimit
	case (end.threadsExceeded || end.diskExceeded) && r.ExitCode == 0:
		r.ExitCode = 128 + int(syscall.SIGKILL)
	case end.stoppedBy != 0 && r.ExitCode == 0:
		// It was told to stop and stopped politely: that is not a finished run.
		r.ExitCode = 128 + int(end.stoppedBy)
	}
}
