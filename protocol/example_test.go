package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/weirstream/weir/protocol"
)

// A read begins at a seq_num, at a timestamp, or so many records before the tail.
func ExampleFromTail() {
	for _, start := range []protocol.Start{protocol.FromSeqNum(0), protocol.FromTimestamp(1700000000000), protocol.FromTail(10)} {
		fmt.Printf("%s\n", protocol.EncodeReadRequestJSON(&protocol.ReadRequest{Start: start}))
	}
	// Output:
	// {"seq_num":0}
	// {"timestamp":1700000000000}
	// {"tail_offset":10}
}

func ExampleParseStreamURI() {
	ref, err := protocol.ParseStreamURI("s2://demo-basin/users/42/orders")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ref.Basin, ref.Stream)
	_, err = protocol.ParseStreamURI("s2://Demo/orders")
	fmt.Println(err != nil)
	// Output:
	// demo-basin users/42/orders
	// true
}

// What is wrong with an input is known before it is sent.
func ExampleAppendInput_Validate() {
	in := protocol.AppendInput{}
	fmt.Println(in.Validate())
	in.Records = []protocol.Record{{
		Headers: []protocol.Header{{Name: []byte("kind"), Value: []byte("order")}},
		Body:    []byte(`{"id":1}`),
	}}
	fmt.Println(in.Validate(), in.MeteredSize())
	// Output:
	// invalid: records: the batch is empty
	// <nil> 27
}

// Commands are records: who fences a stream and trims what is before seq_num 100 does both at once, or neither.
func ExampleFenceRecord() {
	in := protocol.AppendInput{Records: []protocol.Record{protocol.FenceRecord("writer-2"), protocol.TrimRecord(100)}}
	for i := range in.Records {
		fmt.Println(in.Records[i].Command() != protocol.NoCommand)
	}
	// Output:
	// true
	// true
}

// A failure has a code, by which a program decides, and for some codes what it met.
func ExampleError() {
	err := fmt.Errorf("place the order: %w", protocol.SeqNumMismatch(7))
	var failed *protocol.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Code, failed.Status(), *failed.SeqNumMismatch)
	}
	fmt.Println(errors.Is(err, &protocol.Error{Code: protocol.CodeConditionFailed}), failed.Retryable())
	// Output:
	// condition_failed 412 7
	// true false
}

// A change names what it changes; the rest of a configuration stays.
func ExampleSet() {
	change := protocol.StreamReconfiguration{
		StorageClass:    protocol.Set(protocol.StorageExpress),
		RetentionPolicy: protocol.Unset[protocol.RetentionPolicy](),
	}
	text, err := json.Marshal(change)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output: {"storage_class":"express","retention_policy":null}
}

// A token that reads the streams below users/42/ and nothing else.
func ExampleAccessTokenScope() {
	scope := protocol.AccessTokenScope{
		Basins:  protocol.ResourceSet{Kind: protocol.MatchExact, Name: "demo-basin"},
		Streams: protocol.ResourceSet{Kind: protocol.MatchPrefix, Name: "users/42/"},
		Ops:     protocol.Operations(protocol.OpRead, protocol.OpCheckTail),
	}
	fmt.Println(scope.Basins.Matches("demo-basin"), scope.Streams.Matches("users/42/orders"), scope.Streams.Matches("users/7/orders"))
	fmt.Println(scope.Operations().Has(protocol.OpRead), scope.Operations().Has(protocol.OpAppend))
	// Output:
	// true true false
	// true false
}
