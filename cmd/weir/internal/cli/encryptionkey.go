package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/protocol"
)

// keyVariables hold a key in Base64 if no flag gives one, the first that is set.
var keyVariables = []string{"WEIR_ENCRYPTION_KEY", "S2_ENCRYPTION_KEY"}

const keyHelp = `

On an encrypted stream, give the key that its records are encrypted with: 32 bytes in Base64, in a file, in
$WEIR_ENCRYPTION_KEY or $S2_ENCRYPTION_KEY, or, where no other user can see this machine's processes, with -k.
A stream that is not encrypted takes no notice of it.`

// keyFlags say where the encryption key is. Their values are not parsed as flags, because a message about a bad flag
// repeats it.
type keyFlags struct {
	a    *app
	text string
	file string
}

// addKeyFlags adds the flags to a verb that moves records, and their help.
func (a *app) addKeyFlags(c *cobra.Command) *keyFlags {
	f := &keyFlags{a: a}
	c.Flags().StringVarP(&f.text, "encryption-key", "k", "", "`key` of an encrypted stream, 32 bytes in Base64 ($"+keyVariables[0]+")")
	c.Flags().StringVar(&f.file, "encryption-key-file", "", "read the key from this `file`")
	c.MarkFlagsMutuallyExclusive("encryption-key", "encryption-key-file")
	c.Long += keyHelp
	return f
}

// options returns the options of the calls that move records: the key, if there is one.
func (f *keyFlags) options() ([]protocol.RecordOption, error) {
	key, err := f.key()
	if err != nil || key.IsZero() {
		return nil, err
	}
	return []protocol.RecordOption{protocol.WithEncryptionKey(key)}, nil
}

// key returns the key, or the zero key if there is none. No error repeats it.
func (f *keyFlags) key() (protocol.EncryptionKey, error) {
	source, text := "--encryption-key", f.text
	switch {
	case f.file != "":
		source = "--encryption-key-file"
		var err error
		if text, err = readKeyFile(f.file); err != nil {
			return protocol.EncryptionKey{}, usagef("%s: %w", source, err)
		}
	case f.text == "":
		for _, name := range keyVariables {
			if source, text = name, f.a.getenv(name); text != "" {
				break
			}
		}
		if text == "" {
			return protocol.EncryptionKey{}, nil
		}
	}
	key, err := protocol.ParseEncryptionKey(source, text)
	if err == nil {
		_, err = key.Resolve(protocol.CipherNone)
	}
	if err != nil {
		return key, usagef("%s: the key must be %d bytes in Base64, which are 44 characters", source, protocol.EncryptionKeyBytes)
	}
	return key, nil
}

// maxKeyFile is far above the size of a key in Base64 with white space around it.
const maxKeyFile = 4096

func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(b) > maxKeyFile {
		err = fmt.Errorf("%s is too large to hold a key", path)
	}
	return string(b), err
}
