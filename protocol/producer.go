package protocol

import (
	"fmt"
	"unicode/utf8"
)

// Producer numbers the appends of one writer to a stream, so that an append whose outcome is unknown can be made again: a
// batch that was stored the first time is not stored once more, and its positions are answered (docs/producers.md).
type Producer struct {
	// ID names the writer; 1 to [MaxProducerIDBytes] bytes of UTF-8. Two writers at once must not share it.
	ID string
	// Epoch distinguishes one life of the writer from the next: a higher one begins at Seq 0 and shuts out all lower ones.
	Epoch uint64
	// Seq counts the appends of an epoch: 0, 1, 2 and so on. The seq of an append that failed for sure is given to the next one.
	Seq uint64
}

const (
	// MaxProducerIDBytes bounds the name of a producer.
	MaxProducerIDBytes = 256
	// MaxWriterSeqBytes bounds the writer_seq of an append.
	MaxWriterSeqBytes = 256
	// MaxProducers is how many producers a stream remembers. The one whose last append is the longest ago is forgotten first.
	MaxProducers = 32
	// ProducerWindow is how many appends of a producer, the last ones, can be made again and are answered with their positions. A
	// producer should not have more unanswered.
	ProducerWindow = 16
)

// Validate checks the id. The error has code invalid.
func (p *Producer) Validate() error {
	switch {
	case p.ID == "":
		return Errorf(CodeInvalid, "producer.id is empty")
	case len(p.ID) > MaxProducerIDBytes:
		return Errorf(CodeInvalid, "producer.id has %d bytes, at most %d are allowed", len(p.ID), MaxProducerIDBytes)
	case !utf8.ValidString(p.ID):
		return Errorf(CodeInvalid, "producer.id is not valid UTF-8")
	}
	return nil
}

// ProducerMismatch is the producer's state that an append met in place of the expected one.
type ProducerMismatch struct {
	// Epoch is that of the producer's last append; nil if the stream does not know the producer.
	Epoch *uint64
	// Expected is the seq that the producer's next append must have, in the epoch of the refused one.
	Expected uint64
	// Received is the seq of the refused append.
	Received uint64
}

// ProducerFenced is the failure of an append whose epoch is lower than current.
func ProducerFenced(current uint64) *Error {
	return &Error{Code: CodeProducerFenced, Producer: &ProducerMismatch{Epoch: &current},
		Message: fmt.Sprintf("producer.epoch is stale: the producer is in epoch %d", current)}
}

// ProducerGap is the failure of an append whose seq is not the next one.
func ProducerGap(m ProducerMismatch) *Error {
	return &Error{Code: CodeProducerGap, Producer: &m,
		Message: fmt.Sprintf("producer.seq is %d, the next one is %d", m.Received, m.Expected)}
}

// ProducerRepeated is the failure of an append that was stored before, so long ago that its positions are forgotten.
func ProducerRepeated(m ProducerMismatch) *Error {
	return &Error{Code: CodeProducerRepeated, Producer: &m,
		Message: fmt.Sprintf("producer.seq %d was stored before, and its positions are no longer remembered; the next one is %d", m.Received, m.Expected)}
}

// WriterSeqConflict is the failure of an append whose writer_seq is not greater than last.
func WriterSeqConflict(last string) *Error {
	return &Error{Code: CodeWriterSeqConflict, Message: fmt.Sprintf("writer_seq must be greater than %q, that of the last append with one", last)}
}
