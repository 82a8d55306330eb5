package main

import (
	"slices"
	"syscall"
)

// fullWatch remembers which of a container's own small file systems were seen full: what writes there gets no message
// but a bus error, or none at all.
type fullWatch struct {
	paths []string
	full  []string
}

const minFreeBytes = 64 << 10

func (f *fullWatch) look() {
	for _, path := range f.paths {
		var stat syscall.Statfs_t
		if !slices.Contains(f.full, path) && syscall.Statfs(path, &stat) == nil && isFull(&stat) {
			f.full = append(f.full, path)
		}
	}
}

// isFull: less than 1 % or 64 KiB is free, or no inode. A file system without a size, or that counts no inodes, is not.
func isFull(stat *syscall.Statfs_t) bool {
	size, free := stat.Blocks*uint64(stat.Bsize), stat.Bavail*uint64(stat.Bsize)
	return size > 0 && free < max(size/100, minFreeBytes) || stat.Files > 0 && stat.Ffree == 0
}
