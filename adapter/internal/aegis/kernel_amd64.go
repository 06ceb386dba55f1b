package aegis

import "golang.org/x/sys/cpu"

var available = cpu.X86.HasAES
