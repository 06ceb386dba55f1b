package deploy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/httpclient"
	"github.com/weirstream/weir/protocol"
	"github.com/weirstream/weir/test/freeport"
)

// TestNginx and TestCaddy: through the proxies of the folder deploy, requests, server-sent events and sessions work, and what
// is sent arrives while the session goes on.
func TestNginx(t *testing.T) {
	nginx := program(t, "nginx")
	b := startBroker(t)
	dir := t.TempDir()
	writeCertificate(t, dir)
	listen := freePort(t)
	site := edited(t, "../../deploy/nginx/weir.conf", map[string]string{
		"server 127.0.0.1:8080": "server 127.0.0.1:" + port(b.HTTPURL()),
		"listen 8443":           "listen 127.0.0.1:" + listen,
		"/etc/nginx/tls":        dir,
		// The strict client of the tests looks for a header that nginx keeps for itself.
		"grpc_read_timeout 1h;": "grpc_read_timeout 1h; grpc_pass_header X-Accel-Buffering;",
	})
	config := fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/pid;\nerror_log stderr;\nevents {}\nhttp {\n"+
		"access_log off;\nclient_body_temp_path %[1]s/body;\nproxy_temp_path %[1]s/proxy;\nfastcgi_temp_path %[1]s/f;\nuwsgi_temp_path %[1]s/u;\n"+
		"scgi_temp_path %[1]s/s;\n%[2]s}\n", dir, site)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, exec.Command(nginx, "-c", file, "-p", dir), listen)
	createStream(t, b, 2)
	throughProxy(t, listen)
}

func TestCaddy(t *testing.T) {
	caddy := program(t, "caddy")
	b := startBroker(t)
	dir := t.TempDir()
	writeCertificate(t, dir)
	listen := freePort(t)
	site := edited(t, "../../deploy/caddy/Caddyfile", map[string]string{
		"weir.example.com {":           "https://127.0.0.1:" + listen + " {\n\ttls " + dir + "/cert.pem " + dir + "/key.pem",
		"reverse_proxy 127.0.0.1:8080": "reverse_proxy 127.0.0.1:" + port(b.HTTPURL()),
	})
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+site), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(caddy, "run", "--config", file, "--adapter", "caddyfile")
	command.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	run(t, command, listen)
	createStream(t, b, 2)
	throughProxy(t, listen)
}

// edited is a file with some of its words exchanged; each must be there.
func edited(t *testing.T, file string, words map[string]string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range words {
		if !bytes.Contains(text, []byte(from)) {
			t.Fatalf("%s does not contain %q", file, from)
		}
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
	}
	return string(text)
}

// run starts a server and waits until its port answers. It ends with the test.
func run(t *testing.T, command *exec.Cmd, listen string) {
	t.Helper()
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = command.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for range 2400 {
		conn, err := net.Dial("tcp", "127.0.0.1:"+listen)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("it ended: %v\n%s", err, out.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("its port does not open\n%s", out.String())
}

// throughProxy uses the stream of createStream.
func throughProxy(t *testing.T, listen string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // only a hang fails
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	base := "https://127.0.0.1:" + listen
	svc := httpclient.New(base, client)
	ref := protocol.StreamRef{Basin: "demo-basin", Stream: "greetings"}
	one := protocol.AppendInput{Records: []protocol.Record{{Body: bytes.Repeat([]byte("x"), 100<<10)}}}

	t.Run("requests", func(t *testing.T) {
		if ack, err := svc.Append(ctx, ref, one); err != nil || ack.Start.SeqNum != 2 {
			t.Fatal(ack, err)
		}
		batch, err := svc.Read(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(0)})
		if err != nil || batch.Records.Len() != 3 {
			t.Fatal(batch, err)
		}
	})
	t.Run("server-sent events", func(t *testing.T) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/streams/greetings/records?seq_num=3&wait=60", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("s2-basin", "demo-basin")
		req.Header.Set("accept", "text/event-stream")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		event := func() string {
			for lines.Scan() {
				if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
					return name
				}
			}
			t.Fatalf("the events end: %v", lines.Err())
			return ""
		}
		if got := event(); got != "ping" {
			t.Errorf("the first event is %s", got)
		}
		if _, err := svc.Append(ctx, ref, one); err != nil {
			t.Fatal(err)
		}
		got := event()
		for got == "ping" { // one comes every few seconds
			got = event()
		}
		if got != "batch" {
			t.Errorf("after an append comes %s", got)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		appends := openAppends(ctx, t, client, base)
		reads, err := svc.OpenReadSession(ctx, ref, protocol.ReadRequest{Start: protocol.FromSeqNum(4)})
		if err != nil {
			t.Fatal(err)
		}
		defer reads.Close()
		for want := uint64(4); want < 7; want++ {
			if ack := appends.append(t, one); ack.Start.SeqNum != want {
				t.Fatal(ack)
			}
			for {
				batch, err := reads.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if batch.Records.Len() > 0 {
					break
				}
			}
		}
	})
}

// appends is an append session that sends its first input before it waits for the head of the answer: nginx asks the broker
// only when there is something of the body.
type appends struct {
	body     *io.PipeWriter
	response chan *http.Response
	frames   *bufio.Reader
}

func openAppends(ctx context.Context, t *testing.T, client *http.Client, base string) *appends {
	t.Helper()
	body, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/streams/greetings/records", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("s2-basin", "demo-basin")
	req.Header.Set("content-type", "s2s/proto")
	a := &appends{body: w, response: make(chan *http.Response, 1)}
	go func() {
		res, err := client.Do(req)
		if err != nil {
			t.Error(err)
			close(a.response)
			return
		}
		a.response <- res
	}()
	return a
}

// append sends an input and waits for its ack.
func (a *appends) append(t *testing.T, in protocol.AppendInput) protocol.AppendAck {
	t.Helper()
	if _, err := a.body.Write(httpclient.EncodeFrame(0, protocol.MarshalAppendInput(&in))); err != nil {
		t.Fatal(err)
	}
	if a.frames == nil {
		res, ok := <-a.response
		if !ok {
			t.FailNow()
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		if res.StatusCode != http.StatusOK {
			t.Fatalf("the session has status %d", res.StatusCode)
		}
		a.frames = bufio.NewReader(res.Body)
	}
	frame, err := httpclient.ReadFrame(a.frames)
	if err != nil {
		t.Fatal(err)
	}
	message, err := frame.Message()
	if err != nil {
		t.Fatal(err)
	}
	ack, err := protocol.UnmarshalAppendAck(message)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func freePort(t *testing.T) string {
	t.Helper()
	free, err := freeport.Addresses(1)
	if err != nil {
		t.Fatal(err)
	}
	return port(free[0])
}

// writeCertificate makes cert.pem and key.pem for this machine.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
