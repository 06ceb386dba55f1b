//go:build !linux

package adapter

import (
	"errors"
	"runtime"
)

func newSyncFS(string) (func() error, func(), error) {
	return nil, nil, errors.New(`durability "group" needs syncfs, which ` + runtime.GOOS + ` does not have; use "always"`)
}
