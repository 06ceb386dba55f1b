package conf

import (
	"errors"

	"github.com/spf13/pflag"
)

// AddFlags adds a flag for every setting but the secrets to fs. Unreadable values are refused while fs is parsed.
func AddFlags(fs *pflag.FlagSet) {
	def := Default()
	for _, f := range fields {
		if f.noFlag {
			continue
		}
		v := &flagValue{field: f, text: f.text(&def)}
		flag := fs.VarPF(v, f.flag(), "", f.help)
		if f.kind() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

func applyFlags(c *Config, fs *pflag.FlagSet, o origins) error {
	var errs []error
	fs.Visit(func(flag *pflag.Flag) {
		v, ok := flag.Value.(*flagValue)
		if !ok {
			return
		}
		o[v.field.key] = "--" + flag.Name
		errs = append(errs, v.field.setText(c, v.text))
	})
	return errors.Join(errs...)
}

// flagValue holds a flag's text; it implements [pflag.Value].
type flagValue struct {
	field field
	text  string
}

func (v *flagValue) Set(s string) error {
	v.text = s
	return v.field.setText(new(Config), s)
}

func (v *flagValue) String() string { return v.text }

func (v *flagValue) Type() string { return v.field.kind() }
