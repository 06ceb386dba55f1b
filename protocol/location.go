package protocol

import "fmt"

// LocationName names a place where basins live: 1 to 64 ASCII letters, digits, ':', '-' and '.'. Make one with
// [ParseLocationName].
type LocationName string

// LocationInfo describes a location (control plane section 7).
type LocationInfo struct {
	Name      LocationName
	IsPrivate bool
}

// ParseLocationName checks s against the rules of control plane 1.1. The error is a [*NameError].
func ParseLocationName(s string) (LocationName, error) {
	if len(s) < 1 || len(s) > MaxLocationNameBytes {
		return "", &NameError{"location", fmt.Sprintf("has %d bytes, 1 to %d are allowed", len(s), MaxLocationNameBytes)}
	}
	for i := range len(s) {
		c := s[i]
		if !isBasinAlnum(c) && (c < 'A' || c > 'Z') && c != ':' && c != '-' && c != '.' {
			return "", &NameError{"location", "may hold only ASCII letters, digits, colons, hyphens and dots"}
		}
	}
	return LocationName(s), nil
}
