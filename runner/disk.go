package main

import (
	"math"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// diskWalk adds up what a directory tree occupies: st_blocks of all that is in it, and a hard link its share of them,
// so that all links of a file are the file. Links are not followed and other file systems not entered. The tree may
// change meanwhile, and whoever changes it may wish to be in the way.
type diskWalk struct {
	// since, if not zero, leaves out what was last changed before that moment, in nanoseconds of the wall clock. The
	// change time cannot be set to anything but now.
	since int64
	skip  map[inode]bool // directories that are not entered
	stop  *atomic.Bool
	bytes int64
}

type inode struct{ dev, number uint64 }

// directory is a place in the walk. Only the current one is open, so depth costs no descriptors.
type directory struct {
	inode    inode
	mode     uint32 // what it has to become again, or unchanged
	children []child
}

type child struct {
	name string
	mode uint32
}

const (
	// What an entry counts for at least: a node has only so many inodes, and an empty file takes one.
	inodeBytes = 4096

	unchanged = math.MaxUint32
	// A directory with more directories in it than this has the others left out: their names have to be remembered.
	maxChildren = 1 << 17

	atFdCwd           = -0x64
	atSymlinkNoFollow = 0x100
)

// walk adds up the tree below path; what cannot be looked at, or is gone, is left out.
func (w *diskWalk) walk(path string) {
	fd, top, ok := w.enter(atFdCwd, child{path, 0})
	if !ok {
		return
	}
	trail := []directory{w.read(fd, top)}
	for {
		here := &trail[len(trail)-1]
		if len(here.children) > 0 && !w.stop.Load() {
			next := here.children[len(here.children)-1]
			here.children = here.children[:len(here.children)-1]
			if down, found, ok := w.enter(fd, next); ok {
				if found.inode.dev != top.inode.dev || w.skip[found.inode] {
					w.leave(down, found)
					continue
				}
				syscall.Close(fd)
				fd = down
				trail = append(trail, w.read(fd, found))
			}
			continue
		}
		left := *here
		trail = trail[:len(trail)-1]
		if len(trail) == 0 {
			w.leave(fd, left)
			return
		}
		up, err := syscall.Openat(fd, "..", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
		w.leave(fd, left)
		if err != nil {
			return
		}
		if fd = up; !sameInode(fd, trail[len(trail)-1].inode) { // it was moved elsewhere meanwhile
			syscall.Close(fd)
			return
		}
	}
}

// enter opens a directory. One that its owner closed to himself is opened for the time of the visit: the algorithm and
// the runner are the same user.
func (w *diskWalk) enter(parent int, c child) (int, directory, bool) {
	const flags = syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	mode := uint32(unchanged)
	if parent != atFdCwd && c.mode&0o500 != 0o500 && syscall.Fchmodat(parent, c.name, c.mode|0o500, 0) == nil {
		mode = c.mode
	}
	fd, err := syscall.Openat(parent, c.name, flags, 0)
	var stat syscall.Stat_t
	if err == nil && syscall.Fstat(fd, &stat) == nil {
		return fd, directory{inode: inode{uint64(stat.Dev), stat.Ino}, mode: mode}, true
	}
	if mode != unchanged {
		syscall.Fchmodat(parent, c.name, mode, 0)
	}
	if err == nil {
		syscall.Close(fd)
	}
	return -1, directory{}, false
}

func (w *diskWalk) leave(fd int, d directory) {
	if d.mode != unchanged {
		syscall.Fchmod(fd, d.mode)
	}
	syscall.Close(fd)
}

// read adds up what is in the open directory itself and remembers the directories in it.
func (w *diskWalk) read(fd int, d directory) directory {
	buffer := make([]byte, 32<<10)
	var names []string
	for !w.stop.Load() {
		n, err := syscall.ReadDirent(fd, buffer)
		if err != nil || n <= 0 {
			break
		}
		_, _, names = syscall.ParseDirent(buffer[:n], -1, names[:0])
		for _, name := range names {
			var stat syscall.Stat_t
			if statAt(fd, name, &stat) != nil {
				continue
			}
			isDirectory := stat.Mode&syscall.S_IFMT == syscall.S_IFDIR
			if stat.Ctim.Nano() >= w.since {
				w.add(&stat, isDirectory)
			}
			if isDirectory && len(d.children) < maxChildren {
				d.children = append(d.children, child{name, stat.Mode & 0o7777})
			}
		}
	}
	return d
}

// file adds a file that is a mount of its own.
func (w *diskWalk) file(path string) {
	var stat syscall.Stat_t
	if syscall.Lstat(path, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG {
		w.bytes += stat.Blocks * 512
	}
}

func (w *diskWalk) add(stat *syscall.Stat_t, isDirectory bool) {
	bytes := max(stat.Blocks*512, inodeBytes)
	if links := int64(stat.Nlink); !isDirectory && links > 1 {
		bytes /= links
	}
	w.bytes += bytes
}

func sameInode(fd int, want inode) bool {
	var stat syscall.Stat_t
	return syscall.Fstat(fd, &stat) == nil && inode{uint64(stat.Dev), stat.Ino} == want
}

// statAt looks at a name in an open directory, at a link itself.
func statAt(fd int, name string, stat *syscall.Stat_t) error {
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, errno := syscall.Syscall6(sysFstatat, uintptr(fd), uintptr(unsafe.Pointer(text)), uintptr(unsafe.Pointer(stat)), atSymlinkNoFollow, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
