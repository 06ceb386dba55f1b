package cli

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/conf"
)

// networkFileSystems are file systems whose locks and syncs depend on another machine, by their magic numbers.
var networkFileSystems = map[int64]string{0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x65735546: "FUSE", 0x01021997: "9P"}

// checkSystem looks at the kernel, the limit of open files, and the store's file system.
func checkSystem(cfg conf.Config) []finding {
	findings := []finding{checkKernel(), checkFiles(), memoryFinding()}
	var st unix.Statfs_t
	if cfg.StoreDir == "" || unix.Statfs(cfg.StoreDir, &st) != nil {
		return findings
	}
	free := int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // the types differ between platforms
	space := finding{Check: "space", Level: levelOK, Text: fmt.Sprintf("%d MiB are free", free>>20)}
	if free < 1<<30 {
		space.Level, space.Advice = levelWarning, "free some space: appends fail when the disk is full"
	}
	findings = append(findings, space)
	if name, ok := networkFileSystems[int64(st.Type)]; ok { //nolint:unconvert // the types differ between platforms
		findings = append(findings, finding{
			Check: "filesystem", Level: levelWarning, Text: "the store is on " + name,
			Advice: "use a local disk: locks and syncs must be reliable",
		})
	}
	return findings
}

func checkKernel() finding {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return finding{Check: "kernel", Level: levelWarning, Text: err.Error()}
	}
	release := unix.ByteSliceToString(name.Release[:])
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n == 2 && (major < 5 || major == 5 && minor < 8) {
		return finding{
			Check: "kernel", Level: levelWarning, Text: "Linux " + release,
			Advice: "durability group needs 5.8 or later: earlier kernels do not report errors of background writes to syncfs",
		}
	}
	return finding{Check: "kernel", Level: levelOK, Text: "Linux " + release}
}

func checkFiles() finding {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return finding{Check: "open files", Level: levelWarning, Text: err.Error()}
	}
	f := finding{Check: "open files", Level: levelOK, Text: fmt.Sprintf("at most %d", limit.Cur)}
	if limit.Cur < 4096 {
		f.Level, f.Advice = levelWarning, "raise it to 65536 (ulimit -n, LimitNOFILE): each connection and block file takes one"
	}
	return f
}
