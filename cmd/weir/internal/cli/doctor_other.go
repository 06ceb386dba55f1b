//go:build !linux

package cli

import "github.com/weirstream/weir/conf"

// checkSystem looks at the memory limit; the rest is known on Linux only.
func checkSystem(conf.Config) []finding { return []finding{memoryFinding()} }
