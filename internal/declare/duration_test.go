package declare_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/declare"
)

// TestParseDuration: the table of control plane 9.6.
func TestParseDuration(t *testing.T) {
	const day = 86_400
	for text, want := range map[string]declare.Duration{
		"0": {}, " 0 ": {}, "0s": {}, "0ns 0y": {}, "000s": {},
		"7days": {Secs: 7 * day}, "1week": {Secs: 7 * day}, "2h 30m": {Secs: 9000}, "1h30m": {Secs: 5400}, "1 h 30 m": {Secs: 5400},
		" 1h\t30m\n": {Secs: 5400}, "30m 1h": {Secs: 5400}, "1h 1h": {Secs: 7200}, "007s": {Secs: 7},
		"1m": {Secs: 60}, "1M": {Secs: 2_630_016}, "1y": {Secs: 31_557_600},
		"1s 999999999ns":                    {Secs: 1, Nanos: 999_999_999},
		"999ms 1ms":                         {Secs: 1},
		"1500ms":                            {Secs: 1, Nanos: 500_000_000},
		"3us":                               {Nanos: 3000},
		"18446744073709551615s":             {Secs: 1<<64 - 1},
		"18446744073709551615ns":            {Secs: 18_446_744_073, Nanos: 709_551_615},
		"18446744073709551614s 999ms 999us": {Secs: 1<<64 - 2, Nanos: 999_999_000},
	} {
		if got, err := declare.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for spellings, want := range map[string]declare.Duration{
		"ns nsec nanos":             {Nanos: 2},
		"us usec µs":                {Nanos: 2_000},
		"ms msec millis":            {Nanos: 2_000_000},
		"s sec secs second seconds": {Secs: 2},
		"m min mins minute minutes": {Secs: 120},
		"h hr hrs hour hours":       {Secs: 7_200},
		"d day days":                {Secs: 2 * day},
		"w wk wks week weeks":       {Secs: 14 * day},
		"M month months":            {Secs: 5_260_032},
		"y yr yrs year years":       {Secs: 63_115_200},
	} {
		for unit := range strings.FieldsSeq(spellings) {
			if got, err := declare.ParseDuration("2" + unit); err != nil || got != want {
				t.Errorf("2%s: got %v, %v, want %v", unit, got, err, want)
			}
		}
	}
	for text, reason := range map[string]string{
		"": "is empty", " ": "is empty", "5": "without a unit", "1h 5": "without a unit", "00": "without a unit", "h": "no whole number",
		"-1h": "no whole number", "+1h": "no whole number", "1.5h": "the number 1 without a unit", "1,5h": "without a unit",
		"1H": `unknown unit "H"`, "1D": "unknown unit", "1Month": "unknown unit", "1fortnight": "unknown unit", "1e3s": "unknown unit",
		"1h-30m": "no whole number", "1h,30m": "no whole number", "infinite": "no whole number",
		"18446744073709551616s": "is too long", "18446744073709551615s 1s": "is too long", "18446744073709551615m": "is too long",
		"18446744073709551615s 999ms 1ms": "is too long", "99999999999999999999ns": "is too long",
	} {
		if got, err := declare.ParseDuration(text); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: got %v, %v, want an error with %q", text, got, err, reason)
		}
	}
}

func TestFormatSeconds(t *testing.T) {
	for secs, want := range map[uint64]string{
		0: "0s", 1: "1s", 60: "1m", 5400: "1h30m", 86400: "1d", 604800: "7d", 129600: "1d12h", 90061: "1d1h1m1s",
		1<<64 - 1: "213503982334601d7h15s",
	} {
		if got := declare.FormatSeconds(secs); got != want {
			t.Errorf("%d: got %s, want %s", secs, got, want)
		}
	}
}

// FuzzDuration: whatever is read is written and read back, as far as seconds go.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"7days", "2h 30m", "1M1y", "18446744073709551615s", "1s 999999999ns", "5", "µs", "1µs", "0", "٣s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := declare.ParseDuration(s)
		if err != nil {
			return
		}
		if d.Nanos >= 1e9 {
			t.Fatalf("%q: %+v", s, d)
		}
		text := declare.FormatSeconds(d.Secs)
		if again, err := declare.ParseDuration(text); err != nil || again.Secs != d.Secs || again.Nanos != 0 {
			t.Fatalf("%q is %+v, written %s, and back %+v, %v", s, d, text, again, err)
		}
	})
}
