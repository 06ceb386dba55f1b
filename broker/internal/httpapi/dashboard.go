package httpapi

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/weirstream/weir/protocol"
)

// The console is a page of its own at /dashboard: files that a browser loads, and one question beside the API. Its sources
// are in console/ at the root of the repository; make console builds them to the files that are embedded here.
//
//	/                        302 to /dashboard, if the client accepts text/html
//	/dashboard/assets/...    files with a hash of their content in the name
//	/dashboard/cluster       the nodes of the cluster and the places of the logs
//	/dashboard/session       the facts about the broker and the access token that the console needs
//	/dashboard, /dashboard/  index.html; also every other path below, which the page itself interprets
const (
	dashboardPath    = "/dashboard"
	dashboardAssets  = dashboardPath + "/assets/"
	dashboardSession = dashboardPath + "/session"
	dashboardCluster = dashboardPath + "/cluster"
	dashboardName    = "dashboard" // in the metrics
)

// DashboardSession holds the facts about the broker and about its user that the console needs.
type DashboardSession struct {
	// Version of weir.
	Version string `json:"version"`
	// Durability is the promise of an ack, as the configuration calls it.
	Durability string `json:"durability"`
	// Checked says whether the broker asks for access tokens.
	Checked bool `json:"checked"`
	// NATSURL is where NATS clients connect; "" if nowhere.
	NATSURL string `json:"nats_url"`
	// Token is the token in use; of a broker that checks nothing, the root's.
	Token protocol.AccessTokenInfo `json:"token"`
}

// DashboardCluster describes the cluster that the broker is a node of; its zero value means that there is none.
type DashboardCluster struct {
	// Name of the cluster.
	Name string `json:"name"`
	// Nodes are all nodes that have ever been in it, by name.
	Nodes []DashboardNode `json:"nodes"`
	// Logs are those that basins share, by name. A log that has no leader which answers is missing.
	Logs []DashboardLog `json:"logs"`
}

// DashboardNode is a node of the cluster.
type DashboardNode struct {
	Name string `json:"name"`
	// This says that it is the node that answers.
	This bool `json:"this"`
	// Online says that it is this node, or connected to it.
	Online bool `json:"online"`
}

// DashboardLog says which nodes hold a log.
type DashboardLog struct {
	Log string `json:"log"`
	// Leader is the node that takes the log's appends; "" while none is elected.
	Leader string          `json:"leader"`
	Copies []DashboardCopy `json:"copies"`
}

// DashboardCopy is the copy of a log at a node that does not lead it, as the leader sees it.
type DashboardCopy struct {
	Node string `json:"node"`
	// Current says that the copy has everything that is acknowledged; Lag is how many writes it is behind.
	Current bool   `json:"current"`
	Lag     uint64 `json:"lag"`
	Offline bool   `json:"offline"`
}

// contentPolicy lets the page load nothing but its own files and talk only to the broker that served it; the content of a
// record can neither run nor become markup by a string.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// serveDashboard answers the requests for the console, and reports whether this one is.
func (c *call) serveDashboard() bool {
	p := c.r.URL.EscapedPath()
	below, under := strings.CutPrefix(p, dashboardPath)
	if c.h.opts.Dashboard == nil || c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return false
	}
	switch {
	case p == "/" && acceptsHTML(c.r.Header["Accept"]):
		c.w.Header()["Vary"] = []string{"accept"}
		c.w.Header()["Location"] = []string{dashboardPath}
		c.respond(http.StatusFound, nil)
		return true
	case !under || below != "" && below[0] != '/':
		return false
	}
	head := c.w.Header()
	head["Content-Security-Policy"] = []string{contentPolicy}
	head["X-Content-Type-Options"] = []string{"nosniff"}
	head["X-Frame-Options"] = []string{"DENY"}
	head["Referrer-Policy"] = []string{"no-referrer"}
	head["Cross-Origin-Opener-Policy"] = []string{"same-origin"}
	head["Cross-Origin-Resource-Policy"] = []string{"same-origin"}
	switch {
	case p == dashboardSession:
		c.dashboardJSON(func() (any, error) { return c.h.opts.Dashboard(c.bearer()) })
	case p == dashboardCluster:
		c.dashboardJSON(func() (any, error) { return c.h.opts.DashboardCluster(c.r.Context(), c.bearer()) })
	case strings.HasPrefix(p, dashboardAssets):
		c.dashboardFile(p[len(dashboardPath)+1:], "public, max-age=31536000, immutable")
	default:
		c.dashboardFile("index.html", "no-store")
	}
	return true
}

// dashboardJSON answers a question of the console; 401 without a valid token.
func (c *call) dashboardJSON(ask func() (any, error)) {
	c.w.Header()["Cache-Control"] = []string{"no-store"}
	facts, err := ask()
	if err != nil {
		c.fail(err)
		return
	}
	body, err := json.Marshal(facts)
	if err != nil {
		c.fail(err)
		return
	}
	c.respond(http.StatusOK, contentJSON, body)
}

// dashboardFile answers with an embedded file.
func (c *call) dashboardFile(name, caching string) {
	f, ok := dashboardFiles()[name]
	if !ok {
		c.unrouted(nil)
		return
	}
	head := c.w.Header()
	head["Cache-Control"] = []string{caching}
	head["Vary"] = varyEncoding
	body := f.plain
	if f.gzipped != nil && acceptsGzip(c.r.Header["Accept-Encoding"]) {
		head["Content-Encoding"] = []string{"gzip"}
		body = f.gzipped
	}
	head["Content-Type"] = f.contentType
	c.writeWhole(http.StatusOK, len(body), body)
}

// acceptsGzip reports whether gzip is named and not refused; the console's files are compressed with nothing else.
func acceptsGzip(values []string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") && weight(params) > 0 {
				return true
			}
		}
	}
	return false
}

// acceptsHTML reports whether text/html is named, as browsers do; a wildcard, as programs send it, does not count.
func acceptsHTML(values []string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			name, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), "text/html") && strings.ReplaceAll(params, " ", "") != "q=0" {
				return true
			}
		}
	}
	return false
}

//go:embed dashboard
var dashboardEmbedded embed.FS

// dashboardFile is a file of the console, ready to be sent.
type dashboardFile struct {
	contentType []string
	plain       []byte
	gzipped     []byte // nil if that saves nothing
}

// dashboardFiles are the console's files by name, compressed at the first use.
var dashboardFiles = sync.OnceValue(func() map[string]dashboardFile {
	files := map[string]dashboardFile{}
	root, err := fs.Sub(dashboardEmbedded, "dashboard")
	if err != nil {
		panic(err) //nolint:forbidigo // the directory is in the binary
	}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		files[name] = dashboardFile{contentType: []string{dashboardType(name)}, plain: body, gzipped: gzipped(body)}
		return nil
	})
	if err != nil {
		panic(err) //nolint:forbidigo // an embedded file can be read
	}
	return files
})

// dashboardType is the content type of a file by its name. The machine's own table is left aside where it matters.
func dashboardType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

func gzipped(body []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		panic(err) //nolint:forbidigo // the level is one that exists
	}
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	if out.Len() >= len(body) {
		return nil
	}
	return out.Bytes()
}
