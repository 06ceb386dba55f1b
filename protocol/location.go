package protocol

import (
	"fmt"
	"strconv"

	"github.com/weirstream/weir/internal/strictjson"
)

// LocationName names a place where basins live: 1 to 64 ASCII letters, digits, ':', '-' and '.'. Make one with
// [ParseLocationName].
type LocationName string

// LocationInfo describes a location (control plane section 7).
type LocationInfo struct {
	// Name is the location's name.
	Name LocationName
	// IsPrivate says that only this account has the location; all of weir's are.
	IsPrivate bool
	// StorageClasses are those that the location distinguishes; none from a server that does not say.
	StorageClasses []StorageClass
	// DefaultStorageClass is that of streams whose configuration names none; "" from a server that does not say.
	DefaultStorageClass StorageClass
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

// DefaultLocationName is the one location of a deployment that configures none (control plane section 7).
const DefaultLocationName LocationName = "local"

// Locations is a list of locations; in JSON it is a bare array.
type Locations []LocationInfo

// readJSON reads {"name", "is_private", "storage_classes", "default_storage_class"}; the first two are required.
func (l *LocationInfo) readJSON(r *strictjson.Reader) error {
	*l = LocationInfo{}
	hasPrivate := false
	err := r.Object(func(name []byte) error {
		switch string(name) {
		case "name":
			return strictjson.Into(r, &l.Name, readLocationName)
		case "is_private":
			hasPrivate = true
			return strictjson.Into(r, &l.IsPrivate, (*strictjson.Reader).Bool)
		case "storage_classes":
			return r.Array(func(int) error {
				class, err := readStorageClass(r)
				l.StorageClasses = append(l.StorageClasses, class)
				return err
			})
		case "default_storage_class":
			return strictjson.Into(r, &l.DefaultStorageClass, readStorageClass)
		}
		return r.Skip()
	})
	if err == nil && (l.Name == "" || !hasPrivate) {
		err = r.Bad("name and is_private are required")
	}
	return err
}

func (l LocationInfo) appendJSON(dst []byte) []byte {
	dst = appendJSONText(append(dst, `{"name":`...), l.Name)
	dst = strconv.AppendBool(append(dst, `,"is_private":`...), l.IsPrivate)
	if len(l.StorageClasses) > 0 {
		dst = append(dst, `,"storage_classes":[`...)
		for i, class := range l.StorageClasses {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONText(dst, class)
		}
		dst = append(dst, ']')
	}
	if l.DefaultStorageClass != "" {
		dst = appendJSONText(append(dst, `,"default_storage_class":`...), l.DefaultStorageClass)
	}
	return append(dst, '}')
}

// MarshalJSON gives {"name", "is_private"}, and the storage classes if they are known.
func (l LocationInfo) MarshalJSON() ([]byte, error) { return l.appendJSON(nil), nil }

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (l *LocationInfo) UnmarshalJSON(data []byte) error { return readWhole(data, l) }

func (l *Locations) readJSON(r *strictjson.Reader) error {
	*l = Locations{}
	return r.Array(func(int) error {
		info, err := value[LocationInfo](r)
		if err == nil {
			*l = append(*l, info)
		}
		return err
	})
}

// MarshalJSON gives [{"name": name, "is_private": bool}, ...].
func (l Locations) MarshalJSON() ([]byte, error) {
	dst := []byte{'['}
	for i, info := range l {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = info.appendJSON(dst)
	}
	return append(dst, ']'), nil
}

// UnmarshalJSON is the strict inverse of MarshalJSON. The error has code bad_json.
func (l *Locations) UnmarshalJSON(data []byte) error { return readWhole(data, l) }

// EncodeLocationName gives the body that names a location: a bare JSON string.
func EncodeLocationName(name LocationName) []byte { return appendJSONText(nil, name) }

func readLocationName(r *strictjson.Reader) (LocationName, error) {
	s, err := r.Text()
	if err != nil {
		return "", err
	}
	name, err := ParseLocationName(s)
	if err != nil {
		return "", r.Bad("%v", err)
	}
	return name, nil
}

// DecodeLocationName decodes the body that names a location: a bare JSON string (control plane section 7). The error
// has code bad_json.
func DecodeLocationName(data []byte) (name LocationName, err error) {
	err = readJSONText(data, func(r *strictjson.Reader) error { return strictjson.Into(r, &name, readLocationName) })
	return name, err
}

func appendLocation(dst []byte, name LocationName) []byte {
	if name == "" {
		return append(dst, "null"...)
	}
	return appendJSONText(dst, name)
}
