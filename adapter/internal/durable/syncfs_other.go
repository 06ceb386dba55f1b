//go:build !linux

package durable

import (
	"errors"
	"runtime"
)

// NewSyncFS fails: the operating system has no syncfs.
func NewSyncFS(string) (func() error, func(), error) {
	return nil, nil, errors.New(`durability "group" needs syncfs, which ` + runtime.GOOS + ` does not have; use "always"`)
}
