package natsd

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"

	"github.com/weirstream/weir/broker/internal/storefiles"
)

// Blocks returns the files of one of the storage's JetStream streams, each as its records up to the first that makes no sense, and the
// reason. The server must not be writing to the stream.
func (e *Embedded) Blocks(stream string) ([]iter.Seq2[storefiles.Record, error], error) {
	paths, err := storefiles.Blocks(filepath.Join(streamsDir(e.dir, PrivateAccount), stream))
	if err != nil {
		return nil, fmt.Errorf("read the files of %s: %w", stream, err)
	}
	blocks := make([]iter.Seq2[storefiles.Record, error], 0, len(paths))
	for _, path := range paths {
		blocks = append(blocks, func(yield func(storefiles.Record, error) bool) {
			block, err := storefiles.ReadBlock(path)
			if err != nil {
				yield(storefiles.Record{}, err)
				return
			}
			storefiles.Records(stream, path, block)(yield)
		})
	}
	return blocks, nil
}

// Blocks says that the files are not at hand.
func (e *external) Blocks(string) ([]iter.Seq2[storefiles.Record, error], error) {
	return nil, errors.ErrUnsupported
}
