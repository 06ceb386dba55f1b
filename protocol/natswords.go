package protocol

// The words of the service over NATS, shared by the door and the client; docs/nats-api.md describes their use. Package
// subject makes the subjects.

// Control headers of a message to or from the door. Their names compare without regard to ASCII case when they arrive
// at the door.
const (
	HeaderContentType = "Content-Type" // media type of the body
	HeaderAccept      = "Accept"       // media type of the answer

	HeaderAccessToken     = "S2-Access-Token"     // identity of the caller, where the NATS credential does not say it
	HeaderFormat          = "S2-Format"           // how bytes stand in JSON, see RecordFormat
	HeaderEncryptionKey   = "S2-Encryption-Key"   // for the records of an encrypted stream, see EncryptionKey; a secret
	HeaderStreamConfig    = "S2-Stream-Config"    // configuration, in JSON, of the stream that an append or read may create
	HeaderRequestToken    = "S2-Request-Token"    //nolint:gosec // idempotency token of a create
	HeaderProvisionResult = "S2-Provision-Result" // outcome of a create or ensure
	HeaderTimeout         = "S2-Timeout"          // milliseconds that the client waits for a unary answer
	HeaderMaxPayload      = "S2-Max-Payload"      // bytes that the largest answer to the client may have, headers included
	HeaderMatchSeqNum     = "S2-Match-Seq-Num"    // condition of an append in raw form
	HeaderFencingToken    = "S2-Fencing-Token"    //nolint:gosec // condition of an append in raw form
	HeaderClose           = "S2-Close"            // true: an append in raw form closes the stream
	HeaderProducerID      = "S2-Producer-Id"      // producer of an append in raw form, or without records
	HeaderProducerEpoch   = "S2-Producer-Epoch"   // its epoch
	HeaderProducerSeq     = "S2-Producer-Seq"     // number of the append in the epoch
	HeaderWriterSeq       = "S2-Writer-Seq"       // writer_seq of an append in raw form, or without records
	HeaderTimestamp       = "S2-Timestamp"        // the record's timestamp in an append in raw form, milliseconds
	HeaderSession         = "S2-Session"          // opens a session: SessionRead or SessionAppend
	HeaderWindow          = "S2-Window"           // bytes that may be unacknowledged in a session
	HeaderFrame           = "S2-Frame"            // kind of a message within a session
	HeaderSeq             = "S2-Seq"              // number of a message within a session, from 1
	HeaderAcked           = "S2-Acked"            // in a pong: number of the last answered input
	HeaderLeave           = "S2-Leave"            // in an answer: the id of a NATS server that stops, whose clients are to go to another one
)

// Headers of the messages of live taps; those of the record stand beside them.
const (
	HeaderSeqNum = "S2-Seq-Num" // the record's seq_num
	// HeaderEscaped is a header of the record that NATS does not take as it is: its name and its value in Base64, with a colon
	// between them. It may repeat.
	HeaderEscaped = "S2-Record-Header"
)

// Headers that NATS services use to say that a request failed.
const (
	HeaderServiceError     = "Nats-Service-Error"
	HeaderServiceErrorCode = "Nats-Service-Error-Code"
)

// Values of HeaderSession.
const (
	SessionRead   = "read"
	SessionAppend = "append"
)

// Values of HeaderFrame. The door sends open, batch, heartbeat, ack, pong and end; a client sends input, ping, end and
// cancel.
const (
	FrameOpen      = "open"
	FrameBatch     = "batch"
	FrameHeartbeat = "heartbeat"
	FrameAck       = "ack"
	FramePong      = "pong"
	FrameEnd       = "end"
	FrameInput     = "input"
	FramePing      = "ping"
	FrameCancel    = "cancel"
)

// Media types of bodies.
const (
	MediaJSON     = "application/json"
	MediaProtobuf = "application/protobuf"
	MediaRaw      = "application/octet-stream"
)

// NATSFrameCost is added to the size of every message when the windows of sessions are counted, so that they bound the
// number of small messages as well. Both sides count with it.
const NATSFrameCost = 512

// SessionOpened answers the opening of an append session over NATS.
type SessionOpened struct {
	// Subject takes the session's messages.
	Subject string `json:"subject"`
	// ID names the session in logs.
	ID string `json:"id"`
	// Window is how many bytes of inputs may be unanswered.
	Window int `json:"window"`
}
