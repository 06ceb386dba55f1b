package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/protocol/s2s"
)

// The values of Content-Type that the door sends, shared by all answers: they are never written to.
var (
	contentJSON        = []string{protocol.MediaJSON}
	contentProtobuf    = []string{protocol.MediaProtobuf}
	contentEventStream = []string{protocol.MediaEventStream}
	contentS2S         = []string{protocol.MediaS2S}
	contentText        = []string{"text/plain; charset=utf-8"}

	varyEncoding = []string{"accept-encoding"}
	neverCache   = []string{"no-cache, no-transform"}
	unbuffered   = []string{"no"}
)

// jsonMarshaler is the interface of every resource of the protocol.
type jsonMarshaler interface{ MarshalJSON() ([]byte, error) }

// answerJSON answers with a resource.
func (c *call) answerJSON(status int, v jsonMarshaler) error {
	body, err := v.MarshalJSON()
	if err != nil {
		return err
	}
	c.respond(status, contentJSON, body)
	return nil
}

// answerProvision answers a create or an ensure.
func (c *call) answerProvision(info jsonMarshaler, result protocol.ProvisionResult) error {
	c.w.Header()[protocol.HeaderProvisionResult] = []string{string(result)}
	if result == protocol.ProvisionCreated || c.r.Method == http.MethodPost {
		return c.answerJSON(http.StatusCreated, info)
	}
	return c.answerJSON(http.StatusOK, info)
}

// respond writes a whole answer, whose body may come in pieces; it compresses from a size on (data plane 8.10).
func (c *call) respond(status int, contentType []string, body ...[]byte) {
	head := c.w.Header()
	if contentType != nil {
		head["Content-Type"] = contentType
	}
	size := 0
	for _, piece := range body {
		size += len(piece)
	}
	if size >= s2s.CompressionThreshold {
		head["Vary"] = append(varyEncoding[:1:1], head["Vary"]...)
		if coding := acceptedCoding(c.r.Header["Accept-Encoding"]); coding != s2s.NoCompression {
			buf := getBuffer(size)
			defer putBuffer(buf)
			*buf = coding.Append((*buf)[:0], joined(body, size))
			head["Content-Encoding"] = []string{coding.String()}
			body, size = [][]byte{*buf}, len(*buf)
		}
	}
	c.writeWhole(status, size, body...)
}

// writeWhole writes a head and a body of size bytes as they are; of HEAD the head alone.
func (c *call) writeWhole(status, size int, body ...[]byte) {
	c.takeSlotless()
	c.w.Header()["Content-Length"] = []string{strconv.Itoa(size)}
	c.status = status
	c.askToLeave() // the door may drain by now
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return
	}
	if c.write(body...) != nil {
		return // the client has left; its context says so too
	}
	if c.r.ProtoMajor == 2 {
		// The last bytes leave before the request's place does: otherwise a client that opens no window would have any
		// number of answers waiting.
		_ = c.flush()
	}
}

func joined(pieces [][]byte, size int) []byte {
	if len(pieces) == 1 {
		return pieces[0]
	}
	all := make([]byte, 0, size)
	for _, p := range pieces {
		all = append(all, p...)
	}
	return all
}

// acceptedCoding chooses the compression of an answer by weight; zstd, then gzip, then identity among equals. A coding that
// is not named, a wildcard included, is not chosen.
func acceptedCoding(values []string) s2s.Compression {
	best, bestWeight := s2s.NoCompression, 0
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(item, ";")
			var coding s2s.Compression
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "zstd"):
				coding = s2s.Zstd
			case strings.EqualFold(name, "gzip"):
				coding = s2s.Gzip
			case strings.EqualFold(name, "identity"):
			default:
				continue
			}
			w := weight(params)
			if w > bestWeight || w == bestWeight && w > 0 && preferred(coding) > preferred(best) {
				best, bestWeight = coding, w
			}
		}
	}
	return best
}

func preferred(c s2s.Compression) int {
	return map[s2s.Compression]int{s2s.Zstd: 2, s2s.Gzip: 1}[c]
}

// weight reads "q=0.5" as thousandths; a malformed weight counts as 0, a missing one as 1000.
func weight(params string) int {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1000
	}
	q, ok := strings.CutPrefix(strings.ToLower(params), "q=")
	f, err := strconv.ParseFloat(q, 64)
	if !ok || err != nil || !(f >= 0 && f <= 1) {
		return 0
	}
	return int(f * 1000)
}
