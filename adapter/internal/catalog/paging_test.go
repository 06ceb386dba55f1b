package catalog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidwall/btree"

	"github.com/weirstream/weir/protocol"
)

// counted is an ordered map that counts the entries it shows.
type counted struct {
	btree.Map[string, *Entry]
	visits int
}

func (c *counted) Ascend(pivot string, visit func(string, *Entry) bool) {
	c.Map.Ascend(pivot, func(name string, e *Entry) bool {
		c.visits++
		return visit(name, e)
	})
}

// crowd returns n streams called 00000000-a, 00000000-b, 00000000-c, 00000001-a and so on. They share one entry: a page
// looks at nothing else.
func crowd(n int) *counted {
	c, e := &counted{}, &Entry{}
	for i := range n {
		c.Load(fmt.Sprintf("%08d-%c", i/3, 'a'+i%3), e)
	}
	return c
}

// pageOf lists a page and returns its length and how many entries were looked at.
func (c *counted) pageOf(req protocol.ListRequest) (items int, more bool, visits int) {
	c.visits = 0
	list(c, req, func(*Entry) bool {
		if items == req.PageSize() {
			more = true
			return false
		}
		items++
		return true
	})
	return items, more, c.visits
}

// TestAPageCostsTheSameInAMillionStreams: a page looks at its own entries and at the one behind them, whatever is asked
// and however many streams there are (control plane 1.4).
func TestAPageCostsTheSameInAMillionStreams(t *testing.T) {
	last := strings.Repeat("\xff", 8)
	for _, streams := range []int{3_000, 1_000_000} {
		c := crowd(streams)
		middle := fmt.Sprintf("%08d", streams/6)
		for _, tc := range []struct {
			name  string
			req   protocol.ListRequest
			items int
			more  bool
		}{
			{"the first page", protocol.ListRequest{Limit: 100}, 100, true},
			{"the largest page", protocol.ListRequest{}, 1000, true},
			{"a page in the middle", protocol.ListRequest{StartAfter: middle + "-b", Limit: 100}, 100, true},
			{"start_after is no stream", protocol.ListRequest{StartAfter: middle + "-bb", Limit: 100}, 100, true},
			{"the end", protocol.ListRequest{StartAfter: last}, 0, false},
			{"a prefix of few", protocol.ListRequest{Prefix: middle}, 3, false},
			{"a prefix of one", protocol.ListRequest{Prefix: middle + "-c"}, 1, false},
			{"a prefix of many", protocol.ListRequest{Prefix: "0", Limit: 100}, 100, true},
			{"a prefix of none, in the middle", protocol.ListRequest{Prefix: middle + "-d"}, 0, false},
			{"a prefix of none, before all", protocol.ListRequest{Prefix: "!"}, 0, false},
			{"a prefix of none, behind all", protocol.ListRequest{Prefix: last}, 0, false},
			{"start_after within the prefix", protocol.ListRequest{Prefix: middle, StartAfter: middle + "-a"}, 2, false},
			{"start_after before the prefix", protocol.ListRequest{Prefix: middle, StartAfter: "00000000-b"}, 3, false},
			{"start_after beyond the prefix", protocol.ListRequest{Prefix: "00000000", StartAfter: middle}, 0, false},
			{"start_after is the last of the prefix", protocol.ListRequest{Prefix: middle, StartAfter: middle + "-c"}, 0, false},
		} {
			items, more, visits := c.pageOf(tc.req)
			if items != tc.items || more != tc.more || visits > items+1 {
				t.Errorf("%s of %d streams: %d items, more %v, after a look at %d; want %d, %v, at most %d",
					tc.name, streams, items, more, visits, tc.items, tc.more, tc.items+1)
			}
		}
	}
}

// Run with:
//
//	go test -run '^$' -bench ListPage -benchmem -count 10 ./adapter/internal/catalog | benchstat -col /streams -
func BenchmarkListPage(b *testing.B) {
	for _, streams := range []int{1_000, 1_000_000} {
		var v View
		basin := protocol.BasinName("bench-basin")
		v.PutBasin(&BasinRecord{Name: basin}, 1)
		place, _ := v.basins.Get(string(basin))
		crowd(streams).Scan(func(name string, _ *Entry) bool {
			place.streams.set(&Entry{Name: protocol.StreamName(name), common: &entryCommon{}})
			return true
		})
		for _, page := range []struct {
			name string
			req  protocol.ListRequest
		}{
			{"start", protocol.ListRequest{Limit: 100}},
			{"middle", protocol.ListRequest{StartAfter: fmt.Sprintf("%08d-b", streams/6), Limit: 100}},
			{"prefix", protocol.ListRequest{Prefix: fmt.Sprintf("%08d", streams/6), Limit: 100}},
			{"none", protocol.ListRequest{Prefix: "none", Limit: 100}},
		} {
			b.Run(fmt.Sprintf("page=%s/streams=%d", page.name, streams), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := v.ListStreams(basin, page.req); !ok {
						b.Fatal("no such basin")
					}
				}
			})
		}
	}
}
