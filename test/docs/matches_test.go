package docs

import "testing"

func TestMatches(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\nContent-Type: application/json\nDate: today\n\n{\"at\":\"2026-01-02T03:04:05.06Z\",\"ms\":1795436018962}\n"
	for _, c := range []struct {
		name, shown string
		want        bool
	}{
		{"the same", answer, true},
		{"other times", "HTTP/1.1 200 OK\ncontent-type: application/json\n\n{\"at\":\"2025-11-12T13:14:15Z\",\"ms\":1700000000000}", true},
		{"no headers", "HTTP/1.1 200 OK\n\n{\"at\":\"2025-11-12T13:14:15Z\",\"ms\":1700000000000}", true},
		{"left out to the end", "HTTP/1.1 200 OK\n\n...", true},
		{"left out at the beginning", "...\n{\"at\":\"2025-11-12T13:14:15Z\",\"ms\":1700000000000}", true},
		{"another status", "HTTP/1.1 201 Created\n\n...", false},
		{"another header", "HTTP/1.1 200 OK\ncontent-type: text/plain\n\n...", false},
		{"a header that is not sent", "HTTP/1.1 200 OK\nallow: GET\n\n...", false},
		{"another body", "HTTP/1.1 200 OK\n\n{\"at\":\"2025-11-12T13:14:15Z\",\"ms\":17}", false},
		{"less than is printed", "HTTP/1.1 200 OK", false},
		{"more than is printed", answer + "more", false},
		{"what is behind the lines left out is not there", "...\nmore", false},
	} {
		if got := matches(c.shown, answer); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
