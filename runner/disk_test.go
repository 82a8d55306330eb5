package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func occupied(t *testing.T, walk diskWalk, path string) int64 {
	t.Helper()
	walk.stop = &atomic.Bool{}
	walk.walk(path)
	return walk.bytes
}

func fill(t *testing.T, path string, bytes int) {
	t.Helper()
	must(t, os.WriteFile(path, make([]byte, bytes), 0o644))
}

// blocks is what lstat says that the given files occupy.
func blocks(t *testing.T, paths ...string) (sum int64) {
	t.Helper()
	for _, path := range paths {
		var stat syscall.Stat_t
		must(t, syscall.Lstat(path, &stat))
		sum += stat.Blocks * 512
	}
	return sum
}

func TestDiskWalk(t *testing.T) {
	top := t.TempDir()
	in := func(parts ...string) string { return filepath.Join(append([]string{top}, parts...)...) }
	must(t, os.MkdirAll(in("a", "b"), 0o755))
	fill(t, in("plain"), 100_000)
	fill(t, in("a", "b", "deep"), 50_000)
	must(t, os.Link(in("plain"), in("a", "second")))
	must(t, os.Link(in("plain"), in("a", "third")))
	must(t, os.Symlink("/", in("a", "everything")))
	sparse, err := os.Create(in("sparse"))
	must(t, err)
	must(t, sparse.Truncate(1<<40))
	must(t, sparse.Close())
	want := blocks(t, in("plain"), in("a"), in("a", "b"), in("a", "b", "deep")) + 2*inodeBytes // the link and the sparse file
	if got := occupied(t, diskWalk{}, top); got < want-3 || got > want {
		t.Errorf("%d bytes, want %d", got, want)
	}

	var a syscall.Stat_t
	must(t, syscall.Stat(in("a"), &a))
	skipped := diskWalk{skip: map[inode]bool{{uint64(a.Dev), a.Ino}: true}}
	if got := occupied(t, skipped, top); got > blocks(t, in("plain"), in("a")) {
		t.Errorf("%d bytes with one directory left out", got)
	}

	time.Sleep(2 * changeTimeLag)
	since := time.Now().UnixNano()
	time.Sleep(2 * changeTimeLag)
	if got := occupied(t, diskWalk{since: since}, top); got != 0 {
		t.Errorf("%d bytes are called new", got)
	}
	fill(t, in("a", "b", "new"), 70_000)
	old := time.Unix(1, 0)
	must(t, os.Chtimes(in("a", "b", "new"), old, old)) // which is as far as an algorithm can lie
	want = blocks(t, in("a", "b", "new"))
	if got := occupied(t, diskWalk{since: since}, top); got < want || got > want+blocks(t, in("a", "b")) {
		t.Errorf("%d new bytes, want %d", got, want)
	}
}

func TestDiskWalkOfADeepTree(t *testing.T) {
	top := t.TempDir()
	fd, err := syscall.Open(top, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	must(t, err)
	for range 3000 { // no path reaches down there, and no process has so many descriptors
		name := strings.Repeat("d", 200)
		must(t, syscall.Mkdirat(fd, name, 0o755))
		next, err := syscall.Openat(fd, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		must(t, err)
		syscall.Close(fd)
		fd = next
	}
	file, err := syscall.Openat(fd, "file", syscall.O_CREAT|syscall.O_WRONLY, 0o644)
	must(t, err)
	_, err = syscall.Write(file, make([]byte, 1<<20))
	must(t, err)
	syscall.Close(file)
	syscall.Close(fd)
	if got := occupied(t, diskWalk{}, top); got < 1<<20 {
		t.Errorf("%d bytes", got)
	}
}

func TestDiskWalkStaysOnItsFileSystem(t *testing.T) {
	top := t.TempDir()
	other := filepath.Join(top, "other")
	must(t, os.Mkdir(other, 0o755))
	if err := syscall.Mount("tmpfs", other, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("tmpfs cannot be mounted here: %v", err)
	}
	defer syscall.Unmount(other, syscall.MNT_DETACH)
	fill(t, filepath.Join(other, "file"), 1<<20)
	if got := occupied(t, diskWalk{}, top); got > 64<<10 {
		t.Errorf("%d bytes", got)
	}
}

// diskJob runs a script as an ordinary user that may write into ./output, of at most 4 MiB.
func diskJob(t *testing.T, script string) *job {
	t.Helper()
	j := newJob(t, "/bin/sh", "-c", script)
	j.asNobody()
	output := filepath.Join(j.dir, "output")
	must(t, os.Mkdir(output, 0o777))
	must(t, os.Chmod(output, 0o777))
	j.settings["disk"] = settings{"limitBytes": 4 << 20, "paths": []string{output, "/no/such/place"}}
	return j
}

func TestDiskLimit(t *testing.T) {
	const write = "dd if=/dev/zero of=output/%s bs=1M count=8 2>/dev/null; "
	for _, c := range []struct{ name, script string }{
		{"a file", fmt.Sprintf(write, "file") + "sleep 30"},
		{"many files", "for i in $(seq 1500); do echo x >output/$i; done; sleep 30"}, // a block each
		{"in a directory closed to oneself", "mkdir -m 0 output/shut; chmod 700 output/shut; " + fmt.Sprintf(write, "shut/file") + "chmod 0 output/shut; sleep 30"},
		{"as the last thing it does", fmt.Sprintf(write, "file")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := diskJob(t, c.script).run()
			record := r.ended(t, 137)
			if !record.DiskExceeded || *record.DiskBytes <= 4<<20 || record.TimedOut || r.took > 5*time.Second {
				t.Errorf("%+v, took %v", record, r.took)
			}
			var seen int64 // more may be seen before everything is dead
			if n, err := fmt.Sscanf(record.LastStderrLine, "Disk limit exceeded: %d bytes were written, the limit is 4194304", &seen); n != 1 || err != nil || seen <= 4<<20 || seen > *record.DiskBytes {
				t.Errorf("%q", record.LastStderrLine)
			}
		})
	}
}

func TestDiskWithinTheLimit(t *testing.T) {
	script := `dd if=/dev/zero of=output/file bs=1M count=2 2>/dev/null
		mkdir output/shut; echo x >output/shut/file; chmod 0 output/shut; sleep 2.5; ls -ld output/shut`
	r := diskJob(t, script).run()
	record := r.ended(t, 0)
	if record.DiskExceeded || *record.DiskBytes < 2<<20 || *record.DiskBytes > 3<<20 {
		t.Errorf("%v %d", record.DiskExceeded, *record.DiskBytes)
	}
	if !strings.HasPrefix(r.stdout, "d---------") {
		t.Errorf("the closed directory was left open: %q", r.stdout)
	}

	j := diskJob(t, "dd if=/dev/zero of=output/file bs=1M count=8 2>/dev/null")
	j.settings["disk"].(settings)["limitBytes"] = 0
	if record := j.run().ended(t, 0); *record.DiskBytes < 8<<20 {
		t.Errorf("without limit: %d", *record.DiskBytes)
	}
	if record := newJob(t, "/bin/true").run().ended(t, 0); record.DiskBytes != nil || record.FullFilesystems != nil {
		t.Errorf("%+v", record)
	}
}

func TestAsPID1DeletedFilesCountWhileTheyAreOpen(t *testing.T) {
	j := diskJob(t, `exec 9>output/file; rm output/file; dd if=/dev/zero bs=1M count=8 >&9 2>/dev/null; sleep 30`)
	j.attr = nil // unshare drops nothing, and root may make a namespace
	j.inOwnNamespace()
	if record := j.run().ended(t, 137); !record.DiskExceeded || record.PeakThreads == 0 {
		t.Errorf("%+v", record)
	}
}

// The root of a container, here a folder: what the image brought does not count, what is a path of its own not twice.
func TestDiskWatchOfTheRoot(t *testing.T) {
	root := t.TempDir()
	output := filepath.Join(root, "output")
	must(t, os.Mkdir(output, 0o755))
	fill(t, filepath.Join(root, "image"), 1<<20)
	fill(t, filepath.Join(output, "result"), 256<<10)
	time.Sleep(2 * changeTimeLag)
	d := &diskWatch{cfg: diskConfig{Paths: []string{output}, Root: true, LimitBytes: 1 << 20}, root: root, since: time.Now().UnixNano()}
	d.lookAtRoot()
	d.look()
	if got := d.total.Load(); got > 300<<10 || d.exceeded() {
		t.Errorf("%d bytes before anything was written", got)
	}
	time.Sleep(2 * changeTimeLag)
	fill(t, filepath.Join(root, "written"), 1<<20)
	must(t, os.Mkdir(filepath.Join(root, "dev"), 0o755))
	fill(t, filepath.Join(root, terminationLog), 64<<10) // in a container it is another mount, and a part of this walk here
	d.lookAtRoot()
	d.look()
	if got := d.total.Load(); got < (1<<20)+(256<<10)+(128<<10) || got > 1500<<10 || !d.exceeded() {
		t.Errorf("%d bytes", got)
	}
}

// The kubelet looks every ten seconds or so: who fills the root fast must be seen long before the next regular look.
func TestDiskWatchOfARootThatFillsFast(t *testing.T) {
	root := t.TempDir()
	output := filepath.Join(root, "output")
	must(t, os.Mkdir(output, 0o755))
	d := startDiskWatch(diskConfig{Paths: []string{output}, Root: true, LimitBytes: 1 << 20}, root, time.Now())
	defer d.finish()
	time.Sleep(100 * time.Millisecond)
	fill(t, filepath.Join(root, "written"), 32<<20)
	for deadline := time.Now().Add(rootInterval / 3); !d.exceeded(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not seen after %v: %d bytes", rootInterval/3, d.peak.Load())
		}
	}
}

// The free space of a node's disk hides who writes as long as others remove as much: the account of writes does not.
func TestWhatIsWrittenIsAlarmingWhateverOthersRemove(t *testing.T) {
	root := t.TempDir()
	d := &diskWatch{cfg: diskConfig{Paths: []string{root}, LimitBytes: 8 << 20}, root: root}
	before := d.space()
	before.free = nil
	if d.alarming(before) {
		t.Error("nothing was written")
	}
	fill(t, filepath.Join(root, "written"), 9<<20)
	if !d.alarming(before) {
		t.Errorf("%d bytes after %d", writtenBytes(), before.written)
	}
	if got := writeBytesOf("rchar: 7\nwrite_bytes: 4096\ncancelled_write_bytes: 9\n"); got != 4096 {
		t.Error(got)
	}
}

func TestTheDiskIsLookedAtWithinItsShare(t *testing.T) {
	s := schedule{interval: 10 * time.Millisecond, share: 50}
	s.run(func() { time.Sleep(20 * time.Millisecond) })
	if s.due() || s.next.Sub(s.last) < 50*20*time.Millisecond || s.affordable(10) {
		t.Errorf("%+v", s)
	}
	s.run(func() {})
	if wait := s.next.Sub(s.last); wait < s.interval || wait > 5*s.interval {
		t.Errorf("%+v", s)
	}
}

func TestFullFileSystems(t *testing.T) {
	j := diskJob(t, "head -c 1100000 /dev/zero >shm/file; sleep 0.6; rm shm/file")
	var paths []string
	for _, name := range []string{"shm", "roomy", "inodes"} {
		path := filepath.Join(j.dir, name)
		must(t, os.Mkdir(path, 0o777))
		options := map[string]string{"shm": "size=1m,mode=1777", "roomy": "size=1m,mode=1777", "inodes": "size=1m,nr_inodes=1,mode=1777"}[name]
		if err := syscall.Mount("tmpfs", path, "tmpfs", 0, options); err != nil {
			t.Skipf("tmpfs cannot be mounted here: %v", err)
		}
		defer syscall.Unmount(path, syscall.MNT_DETACH)
		paths = append(paths, path)
	}
	j.settings["disk"] = settings{"filesystems": append(paths, "/no/such/place")}
	record := j.run().ended(t, 0)
	if want := []string{paths[0], paths[2]}; !slices.Equal(slices.Sorted(slices.Values(record.FullFilesystems)), slices.Sorted(slices.Values(want))) {
		t.Errorf("%v, want %v", record.FullFilesystems, want)
	}
}
