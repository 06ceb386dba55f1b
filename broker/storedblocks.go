package broker

import "github.com/weirstream/weir/adapter"

// storedBlocks returns the files of a JetStream stream to the adapter.
func (b *Broker) storedBlocks(stream string) ([]adapter.StoredBlock, error) {
	files, err := b.st.Blocks(stream)
	if err != nil {
		return nil, err
	}
	blocks := make([]adapter.StoredBlock, 0, len(files))
	for _, records := range files {
		blocks = append(blocks, func(yield func(adapter.StoredMessage, error) bool) {
			for r, err := range records {
				if !yield(adapter.StoredMessage{Revision: r.Seq, Removal: r.Removal, Subject: r.Subject, Headers: r.Headers, Body: r.Body}, err) {
					return
				}
			}
		})
	}
	return blocks, nil
}
