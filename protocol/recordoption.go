package protocol

// RecordOption is an option of a call that appends or reads records; see [RecordService].
type RecordOption func(*RecordOptions)

// RecordOptions are the options of one call. The zero value is a call without any.
type RecordOptions struct {
	// EncryptionKey encrypts and decrypts the records of an encrypted stream (data plane section 7). It has no effect on
	// a stream that is not encrypted.
	EncryptionKey EncryptionKey
	// NewStream is the stream's configuration if the call creates the stream, laid over the default of its basin. It has
	// no effect on a stream that exists.
	NewStream StreamConfig
	// Producer numbers the inputs of an append session, from its Seq on.
	Producer *Producer
	// Settled is for programs that serve sessions to others: an append session calls it once for each submitted input, in
	// their order, as soon as the input is stored (nil) or has failed, and the outcome is known, before Recv returns it. With nil
	// the input's memory is free then. It must not block. A service that is somewhere else may leave it out.
	Settled func(error)
	// Lean is for programs that serve sessions to others: while it reports true a read session reads nothing ahead and makes
	// small batches. A service that is somewhere else may leave it out.
	Lean func() bool
}

// WithEncryptionKey gives the key for an encrypted stream. A session uses it for all its records. Without a key, and with
// one that is not 32 bytes in Base64, a call on an encrypted stream fails with bad_header; with a key that is not that of
// the records, a read fails with decryption_failed.
func WithEncryptionKey(key EncryptionKey) RecordOption {
	return func(o *RecordOptions) { o.EncryptionKey = key }
}

// WithNewStream gives the configuration of a stream that the call may create, as a layer over its basin's default. It
// fails with invalid as CreateStream does, but only if the stream has to be created.
func WithNewStream(config StreamConfig) RecordOption {
	return func(o *RecordOptions) { o.NewStream = config }
}

// WithProducer has an append session give each input that names no producer this one, and the next seq, beginning with that of
// p. A session over a network then goes on where it stood when its connection or broker is lost, with neither gap nor duplicate. A
// session that does not continue another one of the producer needs a higher epoch and Seq 0: the clock's milliseconds will do.
func WithProducer(p Producer) RecordOption {
	return func(o *RecordOptions) {
		first := p
		o.Producer = &first
	}
}

// Number gives in the next seq of the producer, unless it names one or there is none.
func (o *RecordOptions) Number(in *AppendInput) {
	if o.Producer == nil || in.Producer != nil {
		return
	}
	p := *o.Producer
	in.Producer = &p
	o.Producer.Seq++
}

// WithSettled has an append session report when the memory of its inputs is free; see [RecordOptions].
func WithSettled(settled func(error)) RecordOption {
	return func(o *RecordOptions) { o.Settled = settled }
}

// WithLean has a read session hold little memory while lean reports true; see [RecordOptions].
func WithLean(lean func() bool) RecordOption {
	return func(o *RecordOptions) { o.Lean = lean }
}

// MakeRecordOptions applies opts in their order to the zero value.
func MakeRecordOptions(opts ...RecordOption) (o RecordOptions) {
	for _, set := range opts {
		set(&o)
	}
	return o
}

// ParseNewStreamConfig reads the JSON of a header that holds the configuration of a stream that a call may create. The
// error has code bad_header and names field.
func ParseNewStreamConfig(field, text string) (StreamConfig, error) {
	config, err := DecodeJSON[StreamConfig]([]byte(text))
	if err != nil {
		return config, Errorf(CodeBadHeader, "%s: %s", field, AsError(err).Message)
	}
	return config, nil
}
