package conf

import (
	"errors"
	"os"

	"github.com/spf13/pflag"
)

// Sources are the places that a configuration comes from, in rising precedence. Empty ones are skipped.
type Sources struct {
	// File is the path of a configuration file.
	File string
	// Environ is the environment in the form of [os.Environ].
	Environ []string
	// Flags are parsed flags, of which those made by [AddFlags] count.
	Flags *pflag.FlagSet
}

// Load reads the file at path, lays the environment of the process over it, and validates the result. The error
// holds an [*Error] for each thing that is wrong.
func Load(path string) (Config, error) {
	return Sources{File: path, Environ: os.Environ()}.Load()
}

// Load puts the sources over the defaults and validates the result. The error holds an [*Error] for each thing
// that is wrong, with the place that the value came from.
func (s Sources) Load() (Config, error) {
	c := Default()
	o := origins{}
	var errs []error
	if s.File != "" {
		errs = append(errs, applyFile(&c, s.File, o))
	}
	errs = append(errs, applyEnv(&c, s.Environ, o))
	if s.Flags != nil {
		errs = append(errs, applyFlags(&c, s.Flags, o))
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		return Config{}, o.explain(err)
	}
	return c, nil
}

// ApplyFile lays the file at path over c. It does not validate.
func (c *Config) ApplyFile(path string) error { return applyFile(c, path, origins{}) }

// ApplyEnv lays the WEIR_* variables of environ, in the form of [os.Environ], over c. It does not validate.
func (c *Config) ApplyEnv(environ []string) error { return applyEnv(c, environ, origins{}) }

// ApplyFlags lays the flags that were given on the command line over c. It does not validate.
func (c *Config) ApplyFlags(fs *pflag.FlagSet) error { return applyFlags(c, fs, origins{}) }

// origins names for each key the source that set it last.
type origins map[string]string

// explain adds to each error of a validation where the value came from.
func (o origins) explain(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, one := range joined.Unwrap() {
		var e *Error
		if errors.As(one, &e) && e.Source == "" {
			e.Source = o[e.Key]
		}
	}
	return err
}
