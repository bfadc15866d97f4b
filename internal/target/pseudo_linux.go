package target

import (
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernelFileSystems hold no files, but what the kernel shows as such
// (statfs(2), linux/magic.h). Some of them never end.
var kernelFileSystems = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
	unix.DEVPTS_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC,
	unix.SELINUX_MAGIC, unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC, unix.BINFMTFS_MAGIC,
	unix.EFIVARFS_MAGIC, unix.NSFS_MAGIC,
}

// pseudo reports a directory on which the kernel's own file system is mounted.
func pseudo(dir *os.Root, _ string, info, parent fs.FileInfo) bool {
	own, ok := info.Sys().(*syscall.Stat_t)
	above, also := parent.Sys().(*syscall.Stat_t)
	if !ok || !also || own.Dev == above.Dev {
		return false
	}
	f, err := dir.Open(".")
	if err != nil {
		return false
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return false
	}
	return slices.Contains(kernelFileSystems, int64(s.Type))
}
