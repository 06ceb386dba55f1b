package natsd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/weirstream/weir/protocol"
)

// ErrNotOurs is the error of changes to a cluster of NATS servers that has an operator of its own.
var ErrNotOurs = protocol.Errorf(protocol.CodeNotImplemented, "the NATS servers are not weir's to remove: use nats server cluster peer-remove")

// metaTime bounds a question to JetStream's leader. There may be none.
const metaTime = 5 * time.Second

// Evacuate has JetStream move the copies of a node away, which serves them until others have them. It may be asked again.
func (e *Embedded) Evacuate(ctx context.Context, node string) error {
	var answer server.JSApiMetaServerEvacuateResponse
	request := server.JSApiMetaServerEvacuateRequest{Server: node, Peer: e.peerOf(node)}
	return e.askMeta(ctx, server.JSApiEvacuateServer, request, &answer, &answer.ApiResponse)
}

// RemoveNode has JetStream take a server that has stopped out of the group of all servers: its copies are made on others, and it does not count in
// majorities any more.
func (e *Embedded) RemoveNode(ctx context.Context, node string) error {
	var answer server.JSApiMetaServerRemoveResponse
	request := server.JSApiMetaServerRemoveRequest{Server: node, Peer: e.peerOf(node)}
	return e.askMeta(ctx, server.JSApiRemoveServer, request, &answer, &answer.ApiResponse)
}

// peerOf is the id of a server: the leader may not know the name of one that it has never met. "": not known.
func (e *Embedded) peerOf(node string) string {
	info, err := e.srv.Jsz(&server.JSzOptions{})
	if err != nil || info.Meta == nil {
		return ""
	}
	for _, peer := range info.Meta.Replicas {
		if peer.Name == node {
			return peer.Peer
		}
	}
	return ""
}

// askMeta asks the leader of JetStream's group of all servers, which listens in the system account alone.
func (e *Embedded) askMeta(ctx context.Context, subject string, request, answer any, head *server.ApiResponse) error {
	if e.ownUsers() {
		return protocol.Errorf(protocol.CodeNotImplemented, "with accounts or users in the NATS configuration this is for a user of the system account: use nats server cluster peer-remove")
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	nc, err := e.dial(e.srv.SystemAccount().GetName(), "weir-remove-node")
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, metaTime)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return protocol.Wrap(protocol.CodeUnavailable, err, "JetStream's leader did not answer")
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("the answer of JetStream's leader: %w", err)
	}
	if head.Error != nil {
		return protocol.Wrap(protocol.CodeUnavailable, head.Error, "JetStream refused: "+head.Error.Description)
	}
	return nil
}
