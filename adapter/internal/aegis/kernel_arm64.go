package aegis

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// All of Apple's arm64 processors have the instructions; golang.org/x/sys/cpu does not ask there.
var available = cpu.ARM64.HasAES || runtime.GOOS == "darwin" || runtime.GOOS == "ios"
