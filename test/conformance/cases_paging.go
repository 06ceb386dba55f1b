package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/protocol"
)

// holding15 creates a basin with 15 streams s-00 to s-14, made out of order, and two that look like them.
func (e *Env) holding15() *Basin {
	e.t.Helper()
	b := e.Basin()
	for i := range 15 {
		b.Stream(protocol.StreamName(fmt.Sprintf("s-%02d", i*7%15)))
	}
	b.Stream("s")
	b.Stream("t-00")
	return b
}

// lists checks a page of the basin's streams.
func (b *Basin) lists(req protocol.ListRequest, more bool, want ...string) {
	b.e.t.Helper()
	names, gotMore := b.List(req)
	equal(b.e.t, "names", strings.Join(names, " "), strings.Join(want, " "))
	equal(b.e.t, "has_more", gotMore, more)
}

// pagingCases: control plane A.2, A.8 and A.13.
var pagingCases = []Case{
	{Row: "cp A.2/36,37,38,42", Name: "no limit, 0 and more than 1000 are 1000", Run: func(t *testing.T, e *Env) {
		b := e.holding15()
		for _, limit := range []int{0, 1000, 1001, 1500} {
			names, more := b.List(protocol.ListRequest{Limit: limit})
			equal(t, "names", len(names), 17)
			equal(t, "has_more", more, false)
		}
	}},
	{Row: "cp A.2/36,38", Name: "1001 streams are two pages", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		for i := range 1001 {
			b.Stream(protocol.StreamName(fmt.Sprintf("%04d", i)))
		}
		for _, limit := range []int{0, 2000} {
			names, more := b.List(protocol.ListRequest{Limit: limit})
			equal(t, "names", len(names), 1000)
			equal(t, "has_more", more, true)
			b.lists(protocol.ListRequest{StartAfter: names[999], Limit: limit}, false, "1000")
		}
	}},
	{Row: "cp A.2/39", Name: "limit 5 with more matches", Run: func(t *testing.T, e *Env) {
		e.holding15().lists(protocol.ListRequest{Limit: 5}, true, "s", "s-00", "s-01", "s-02", "s-03")
	}},
	{Row: "cp A.2/40", Name: "limit 1 with exactly one match", Run: func(t *testing.T, e *Env) {
		e.holding15().lists(protocol.ListRequest{Prefix: "t", Limit: 1}, false, "t-00")
	}},
	{Row: "cp A.2/43", Name: "prefix without matches", Run: func(t *testing.T, e *Env) {
		e.holding15().lists(protocol.ListRequest{Prefix: "nothing"}, false)
	}},
	{Row: "cp A.2/44", Name: "start_after is not included", Run: func(t *testing.T, e *Env) {
		e.holding15().lists(protocol.ListRequest{StartAfter: "s-12"}, false, "s-13", "s-14", "t-00")
	}},
	{Row: "cp A.2/45", Name: "start_after beyond every match", Run: func(t *testing.T, e *Env) {
		b := e.holding15()
		b.lists(protocol.ListRequest{StartAfter: "z"}, false)
		b.lists(protocol.ListRequest{Prefix: "s-", StartAfter: "t"}, false)
		b.lists(protocol.ListRequest{StartAfter: "t-00"}, false)
	}},
	{Row: "cp A.2/46", Name: "start_after before the prefix", Run: func(t *testing.T, e *Env) {
		b := e.holding15()
		b.lists(protocol.ListRequest{Prefix: "s-1", StartAfter: "a"}, false, "s-10", "s-11", "s-12", "s-13", "s-14")
		b.lists(protocol.ListRequest{Prefix: "s-1", StartAfter: "s-1"}, false, "s-10", "s-11", "s-12", "s-13", "s-14")
	}},
	{Row: "cp A.2/47", Name: "start_after inside the prefix", Run: func(t *testing.T, e *Env) {
		b := e.holding15()
		b.lists(protocol.ListRequest{Prefix: "s-1", StartAfter: "s-12"}, false, "s-13", "s-14")
		b.lists(protocol.ListRequest{Prefix: "s-1", StartAfter: "s-125"}, false, "s-13", "s-14")
	}},
	{Row: "cp A.2/48,49", Name: "15 items in pages of 5 with a prefix", Run: func(t *testing.T, e *Env) {
		b := e.holding15()
		req := protocol.ListRequest{Prefix: "s-", Limit: 5}
		var all []string
		for page := range 3 {
			names, more := b.List(req)
			equal(t, "names", len(names), 5)
			equal(t, "has_more", more, page < 2)
			all = append(all, names...)
			req.StartAfter = names[4]
		}
		equal(t, "different names", len(slices.Compact(slices.Clone(all))), 15)
		equal(t, "ascending", slices.IsSorted(all), true)
	}},
	{Row: "cp A.2/50", Name: "names come in byte order", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		names := []string{"é", "a", "B", "a/b", "a.b", "日本", "a b", "~", "A", "10", "9", "%", "*", ">", "a/", "/", "$x"}
		for _, name := range names {
			b.Stream(protocol.StreamName(name))
		}
		slices.Sort(names)
		b.Holds(names...)
		b.lists(protocol.ListRequest{Prefix: "a/"}, false, "a/", "a/b")
		b.lists(protocol.ListRequest{StartAfter: "~"}, false, "é", "日本")
	}},
	{Row: "cp A.2/51", Name: "a stream being deleted is listed as such, or gone", Run: func(t *testing.T, e *Env) {
		b := e.holding15()
		b.Missing("s-07").Delete()
		page, err := e.Service.ListStreams(e.ctx, b.Name, protocol.ListRequest{Prefix: "s-07"})
		e.must(err, "list streams")
		for _, info := range page.Streams {
			equal(t, "deleted", !info.DeletedAt.IsZero(), true)
		}
	}},
	{Row: "cp A.8/168", Name: "an account without basins", Timed: true, Run: func(t *testing.T, e *Env) {
		page, err := e.Service.ListBasins(e.ctx, protocol.ListRequest{})
		e.must(err, "list basins")
		equal(t, "basins", len(page.Basins), 0)
		equal(t, "has_more", page.HasMore, false)
	}},
	{Row: "cp A.8/169,170,171,172,173", Name: "basins by prefix and page", Timed: true, Run: func(t *testing.T, e *Env) {
		var names []string
		for range 5 {
			names = append(names, string(e.Basin().Name))
		}
		lists := func(req protocol.ListRequest, more bool, want ...string) {
			t.Helper()
			page, err := e.Service.ListBasins(e.ctx, req)
			e.must(err, "list basins")
			var got []string
			for _, info := range page.Basins {
				got = append(got, string(info.Name))
			}
			equal(t, "names", strings.Join(got, " "), strings.Join(want, " "))
			equal(t, "has_more", page.HasMore, more)
		}
		lists(protocol.ListRequest{}, false, names...)
		lists(protocol.ListRequest{Prefix: names[2]}, false, names[2])
		lists(protocol.ListRequest{Prefix: "conf-"}, false, names...)
		lists(protocol.ListRequest{Prefix: "other"}, false)
		lists(protocol.ListRequest{Limit: 1}, true, names[0])
		lists(protocol.ListRequest{Prefix: "conf-", StartAfter: names[0], Limit: 2}, true, names[1], names[2])
		lists(protocol.ListRequest{StartAfter: names[2], Limit: 2}, false, names[3], names[4])
		lists(protocol.ListRequest{StartAfter: names[4]}, false)
	}},
	{Row: "cp A.13/246", Name: "an empty basin", Run: func(t *testing.T, e *Env) { e.Basin().Holds() }},
	{Row: "cp A.13/247,248,251", Name: "every page size shows every stream once", Run: func(t *testing.T, e *Env) {
		b := e.holding15()
		want, _ := b.List(protocol.ListRequest{})
		for limit := 1; limit <= 18; limit++ {
			var all []string
			req := protocol.ListRequest{Limit: limit}
			for more := true; more; {
				var names []string
				names, more = b.List(req)
				all = append(all, names...)
				req.StartAfter = all[len(all)-1]
			}
			equal(t, "names", strings.Join(all, " "), strings.Join(want, " "))
		}
	}},
	{Row: "cp A.13/249,250", Name: "look-alike names and other basins' streams", Run: func(t *testing.T, e *Env) {
		one, two := e.Basin(), e.Basin()
		for _, name := range []protocol.StreamName{"user", "user/1", "user/10", "users", "use", "user.1", "user%2F1"} {
			one.Stream(name)
		}
		two.Stream("user/2")
		one.lists(protocol.ListRequest{Prefix: "user/"}, false, "user/1", "user/10")
		one.lists(protocol.ListRequest{Prefix: "user"}, false, "user", "user%2F1", "user.1", "user/1", "user/10", "users")
		two.Holds("user/2")
	}},
	{Row: "cp A.13/253", Name: "streams of a missing basin", Run: func(t *testing.T, e *Env) {
		_, err := e.Service.ListStreams(e.ctx, e.NoBasin().Name, protocol.ListRequest{})
		e.fails(err, protocol.CodeBasinNotFound)
	}},
	{Row: "cp A.1/17,19,20", Name: "names of every shape are streams of their own", Run: func(t *testing.T, e *Env) {
		b := e.Basin()
		names := []protocol.StreamName{
			protocol.StreamName(strings.Repeat("a", 512)), protocol.StreamName(strings.Repeat("é", 256)),
			protocol.StreamName(strings.Repeat("%", 512)), protocol.StreamName(strings.Repeat("/", 512)),
			"日本語/ストリーム", "a/b", "a.b", "a b", "a%2Fb", "a%", "%", "*", ">", "a/*/>", "/", "//", "/a", "a/", "a//b",
			"...", "$SYS", "$JS/API", "_INBOX/x", "\t", "\r\n", "\x01", "\u202e", "{\"json\":1}", "'quoted\"",
		}
		for i, name := range names {
			b.Stream(name).AppendRange(0, 1, numbered(i, 1))
		}
		for i, name := range names {
			b.Missing(name).Read(from(0)).Seqs(0, 1).Bodies(string(numbered(i, 1)[0].Body))
			b.lists(protocol.ListRequest{Prefix: string(name), Limit: 1}, len(b.below(names, name)) > 1, string(name))
		}
	}},
}

// below returns the names that begin with prefix.
func (*Basin) below(names []protocol.StreamName, prefix protocol.StreamName) (out []protocol.StreamName) {
	for _, name := range names {
		if strings.HasPrefix(string(name), string(prefix)) {
			out = append(out, name)
		}
	}
	return out
}
