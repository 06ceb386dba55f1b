package natsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/broker/internal/storefiles"
)

// Repair looks through the files of the streams in a store directory on which no broker runs. It returns the faults that can
// be mended without losing a record, and the data that is lost. With mend it mends.
func Repair(dir, prefix string, mend bool) (safe, lost []string, err error) {
	if _, err := os.Stat(filepath.Join(dir, server.JetStreamStoreDir)); err != nil {
		return nil, nil, fmt.Errorf("%q is not a store directory (%w)", dir, err)
	}
	lock, err := lockStore(context.Background(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	for _, account := range []string{globalAccount, PrivateAccount} {
		c := newStoreCare(dir, streamsDir(dir, account), prefix, slog.New(slog.DiscardHandler))
		for _, d := range c.dirs() {
			faults, err := storefiles.Examine(d)
			if err != nil {
				return safe, lost, err
			}
			for _, f := range faults {
				safe = append(safe, f.String())
				if mend {
					if err := f.Mend(); err != nil {
						return safe, lost, err
					}
				}
			}
			holes, err := storefiles.Survey(d)
			if errors.Is(err, storefiles.ErrEncrypted) {
				lost = append(lost, fmt.Sprintf("%s: %v", filepath.Base(d), err))
				continue
			}
			if err != nil {
				return safe, lost, err
			}
			for _, h := range holes {
				lost = append(lost, h.String())
			}
		}
	}
	return safe, lost, nil
}
