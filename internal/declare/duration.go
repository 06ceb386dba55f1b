package declare

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode"
)

// Duration is a length of time from 0 to 2^64 s. Unlike a [time.Duration] it holds every retention age.
type Duration struct {
	Secs  uint64
	Nanos uint64 // below 1e9
}

// IsZero reports whether the duration is 0.
func (d Duration) IsZero() bool { return d == Duration{} }

const second = 1_000_000_000 // in nanoseconds

// units are the spellings of control plane 9.6, by their length. Case matters: m is a minute, M a month.
var units = func() map[string]Duration {
	all := map[string]Duration{}
	for _, u := range []struct {
		spellings string
		length    Duration
	}{
		{"ns nsec nanos", Duration{Nanos: 1}},
		{"us usec µs", Duration{Nanos: 1_000}},
		{"ms msec millis", Duration{Nanos: 1_000_000}},
		{"s sec secs second seconds", Duration{Secs: 1}},
		{"m min mins minute minutes", Duration{Secs: 60}},
		{"h hr hrs hour hours", Duration{Secs: 3_600}},
		{"d day days", Duration{Secs: 86_400}},
		{"w wk wks week weeks", Duration{Secs: 7 * 86_400}},
		{"M month months", Duration{Secs: 2_630_016}},       // 30.44 days
		{"y yr yrs year years", Duration{Secs: 31_557_600}}, // 365.25 days
	} {
		for spelling := range strings.FieldsSeq(u.spellings) {
			all[spelling] = u.length
		}
	}
	return all
}()

var errTooLong = errors.New("is too long")

// ParseDuration reads a sum of whole numbers with units, such as 7days, 1week, "2h 30m" or 1h30m; white space may stand
// around numbers and units. 0 needs no unit.
func ParseDuration(s string) (total Duration, err error) {
	rest := strings.TrimSpace(s)
	if rest == "0" {
		return Duration{}, nil
	}
	if rest == "" {
		return Duration{}, durationError(s, "is empty")
	}
	for rest != "" {
		digits := leading(rest, func(r rune) bool { return '0' <= r && r <= '9' })
		rest = strings.TrimLeftFunc(rest[len(digits):], unicode.IsSpace)
		name := leading(rest, unicode.IsLetter)
		rest = strings.TrimLeftFunc(rest[len(name):], unicode.IsSpace)
		n, err := strconv.ParseUint(digits, 10, 64)
		unit, known := units[name]
		switch {
		case digits == "":
			return Duration{}, durationError(s, "has no whole number where one is needed")
		case errors.Is(err, strconv.ErrRange):
			return Duration{}, durationError(s, errTooLong.Error())
		case name == "":
			return Duration{}, durationError(s, "has the number "+digits+" without a unit")
		case !known:
			return Duration{}, durationError(s, fmt.Sprintf("has the unknown unit %q", name))
		}
		if total, err = total.plus(n, unit); err != nil {
			return Duration{}, durationError(s, err.Error())
		}
	}
	return total, nil
}

// leading is the longest beginning of s whose runes are all in the class.
func leading(s string, class func(rune) bool) string {
	return s[:len(s)-len(strings.TrimLeftFunc(s, class))]
}

func durationError(s, reason string) error {
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "") + "..."
	}
	return fmt.Errorf("%q is not a duration like 7days, 1week or 2h 30m: it %s", s, reason)
}

// plus adds n units.
func (d Duration) plus(n uint64, unit Duration) (Duration, error) {
	high, secs := bits.Mul64(n, unit.Secs)
	if high > 0 {
		return d, errTooLong
	}
	high, low := bits.Mul64(n, unit.Nanos) // high is below the unit's, which is below a second
	more, nanos := bits.Div64(high, low, second)
	d.Nanos += nanos
	secs, carry := bits.Add64(secs, more, 0)
	secs, carry2 := bits.Add64(secs, d.Nanos/second, 0)
	secs, carry3 := bits.Add64(secs, d.Secs, 0)
	if carry+carry2+carry3 > 0 {
		return d, errTooLong
	}
	return Duration{secs, d.Nanos % second}, nil
}

// FormatSeconds writes seconds so that [ParseDuration] reads them back: 0s, 7d, 1d12h, 1h30m.
func FormatSeconds(secs uint64) string {
	if secs == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		secs uint64
	}{{"d", 86_400}, {"h", 3_600}, {"m", 60}, {"s", 1}} {
		if n := secs / u.secs; n > 0 {
			b.WriteString(strconv.FormatUint(n, 10) + u.name)
		}
		secs %= u.secs
	}
	return b.String()
}
