package catalog

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weirstream/weir/protocol"
)

// CheckAccountEntry refuses a value with which the catalog could not be opened, and a key that is of no kind with a place of its own
// in a backup.
func CheckAccountEntry(key string, value []byte) error {
	var err error
	switch {
	case key == DefaultLocationKey:
		err = json.Unmarshal(value, &locationRecord{})
	case strings.HasPrefix(key, tokenKeys):
		var rec tokenRecord
		err = json.Unmarshal(value, &rec)
		if err == nil && (len(rec.Hash) != sha256.Size || key != tokenKey(rec.Token.ID)) {
			err = errors.New("its key or its hash is not that of a token")
		}
	default:
		return protocol.Errorf(protocol.CodeInvalid, "entry: %.100q is of a kind that cannot be restored alone", key)
	}
	if err != nil {
		return protocol.Wrap(protocol.CodeInvalid, err, fmt.Sprintf("entry: the value of %.100q cannot be understood", key))
	}
	return nil
}
