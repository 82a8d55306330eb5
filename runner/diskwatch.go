package main

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// How often the disk is looked at, and the share of the time that this may take: a look that takes longer is taken
	// less often. The container's root has a whole image in it, of which hardly anything is ever written.
	diskInterval = time.Second
	diskShare    = 50 // one part in 50
	rootInterval = 15 * time.Second
	rootShare    = 200
	// When what was written or the free space says that the limit may have been passed: the kubelet must not be first, and with little CPU
	// a look takes seconds.
	diskAlarmShare   = 4
	lastLookInterval = 100 * time.Millisecond

	terminationLog = "/dev/termination-log" // the kubelet's default
	// The kernel's clock of change times lags behind by a tick.
	changeTimeLag = 20 * time.Millisecond
)

// diskWatch measures, beside the algorithm, what it wrote.
type diskWatch struct {
	cfg     diskConfig
	root    string // "/", but for tests
	since   int64
	stopped atomic.Bool   // breaks a look off
	stop    chan struct{} // closed to end the loop
	done    chan struct{} // closed at its end

	total, peak atomic.Int64 // bytes
	written     int64        // in the root, at the last look there
}

// startDiskWatch begins to measure; what was changed before `since` is not the algorithm's. Nil: nothing is limited.
func startDiskWatch(cfg diskConfig, root string, since time.Time) *diskWatch {
	if len(cfg.Paths) == 0 && !cfg.Root {
		return nil
	}
	d := &diskWatch{cfg: cfg, root: root, since: since.Add(-changeTimeLag).UnixNano(),
		stop: make(chan struct{}), done: make(chan struct{})}
	go d.loop()
	return d
}

func (d *diskWatch) loop() {
	defer close(d.done)
	look := schedule{interval: diskInterval, share: diskShare}
	rootLook := schedule{interval: rootInterval, share: rootShare}
	look.next, rootLook.next = time.Now(), time.Now().Add(rootInterval)
	space, rootSpace := d.space(), d.space()
	ticks := time.Tick(tickInterval)
	for {
		// The kubelet looks every ten seconds or so: who writes fast must not be seen by it first.
		if d.cfg.Root && (rootLook.due() || rootLook.affordable(diskAlarmShare) && d.alarming(rootSpace)) {
			rootSpace = d.space()
			rootLook.run(d.lookAtRoot)
		}
		if look.due() || (look.affordable(diskAlarmShare) && d.alarming(space)) {
			space = d.space()
			look.run(d.look)
		}
		select {
		case <-ticks:
		case <-d.stop:
			return
		}
	}
}

// exceeded tells whether more than the limit was seen.
func (d *diskWatch) exceeded() bool {
	return d != nil && d.cfg.LimitBytes > 0 && d.peak.Load() > d.cfg.LimitBytes
}

// finish ends the watch with a last short look, for which everything has to be dead.
func (d *diskWatch) finish() {
	if d == nil {
		return
	}
	close(d.stop)
	d.stopped.Store(true)
	select {
	case <-d.done: // a directory that was opened up is as it was
	case <-time.After(reapTime): // a file system that does not answer
		return
	}
	d.stopped.Store(false)
	timer := time.AfterFunc(lastLookInterval, func() { d.stopped.Store(true) })
	defer timer.Stop()
	d.look()
}

// look adds up everything but the root. A look that was broken off has seen less than there is.
func (d *diskWatch) look() {
	walk := diskWalk{stop: &d.stopped}
	for _, path := range d.cfg.Paths {
		walk.walk(path)
	}
	if d.cfg.Root {
		// The kubelet's own file in the container, a mount of its own that anybody may write to, and that it does not measure itself.
		walk.file(filepath.Join(d.root, terminationLog))
	}
	total := walk.bytes + d.written
	if os.Getpid() == 1 {
		total += deletedBytes(d.devices())
	}
	d.total.Store(total)
	d.peak.Store(max(d.peak.Load(), total))
}

// lookAtRoot adds up what was written into the container's own file system.
func (d *diskWatch) lookAtRoot() {
	walk := diskWalk{stop: &d.stopped, since: d.since, skip: map[inode]bool{}}
	for _, path := range d.cfg.Paths { // they are counted already, and need not be mounts
		if where, err := statOf(path); err == nil {
			walk.skip[where] = true
		}
	}
	walk.walk(d.root)
	if !d.stopped.Load() {
		d.written = walk.bytes
	}
}

// places are all that is measured.
func (d *diskWatch) places() []string {
	if !d.cfg.Root {
		return d.cfg.Paths
	}
	return append([]string{d.root}, d.cfg.Paths...)
}

func (d *diskWatch) devices() map[uint64]bool {
	devices := map[uint64]bool{}
	for _, path := range d.places() {
		if where, err := statOf(path); err == nil {
			devices[where.dev] = true
		}
	}
	return devices
}

// space is what an alarm goes by: how many bytes the places' file systems have left, which those of the node share with
// others, and how many were written.
type space struct {
	free    map[string]int64
	written int64
}

func (d *diskWatch) space() space {
	seen := space{free: map[string]int64{}, written: writtenBytes()}
	for _, path := range d.places() {
		var stat syscall.Statfs_t
		if syscall.Statfs(path, &stat) == nil {
			seen.free[path] = int64(stat.Bavail) * stat.Bsize
		}
	}
	return seen
}

// alarming tells whether so much was written, or so much space has gone, that the limit may have been passed. It is a
// reason to look, not a proof: others write too, and what was written may be gone again.
func (d *diskWatch) alarming(before space) bool {
	if d.cfg.LimitBytes == 0 {
		return false
	}
	left := d.cfg.LimitBytes - d.total.Load()
	now := d.space()
	if now.written-before.written > left {
		return true
	}
	for path, free := range now.free {
		if before.free[path]-free > left {
			return true
		}
	}
	return false
}

func statOf(path string) (inode, error) {
	var stat syscall.Stat_t
	err := syscall.Stat(path, &stat)
	return inode{uint64(stat.Dev), stat.Ino}, err
}

// schedule is when a piece of work is due that must not take more than one part in share of the time.
type schedule struct {
	interval   time.Duration
	share      int
	next, last time.Time
	cost       time.Duration
}

func (s *schedule) due() bool { return !time.Now().Before(s.next) }

// affordable tells whether doing it now would keep to another share.
func (s *schedule) affordable(share int) bool {
	return time.Since(s.last) >= time.Duration(share)*s.cost
}

func (s *schedule) run(work func()) {
	began := time.Now()
	work()
	s.last = time.Now()
	s.cost = s.last.Sub(began)
	s.next = s.last.Add(max(s.interval, time.Duration(s.share)*s.cost))
}
