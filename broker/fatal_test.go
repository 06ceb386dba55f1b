package broker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/broker/internal/natsd"
	"github.com/weirstream/weir/conf"
)

// TestFatalFailureIsDelivered: when JetStream turns itself off, as it does on a full disk, Done says so and Close still
// comes to an end in time.
func TestFatalFailureIsDelivered(t *testing.T) {
	c := conf.Default().WithStoreDir(t.TempDir())
	c.HTTP.Listen, c.NATS.Listen = "", ""
	c.LameDuck = 3 * time.Second
	b, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.st.(*natsd.Embedded).Server().ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := <-b.Done(); err == nil || !strings.Contains(err.Error(), "turned itself off") {
		t.Errorf("Done delivered %v", err)
	}
	b.fatal(errors.New("a second failure is one too many to deliver"))
	began := time.Now()
	_ = b.Close(context.Background()) // Whether everything settled is not the point here.
	if took := time.Since(began); took > c.LameDuck+time.Minute {
		t.Errorf("Close took %s", took)
	}
	b.fatal(errors.New("and nothing is delivered after Close"))
	if err, ok := <-b.Done(); ok {
		t.Errorf("Done delivered %v", err)
	}
}
