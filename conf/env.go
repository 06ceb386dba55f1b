package conf

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// notSettings are WEIR_* variables that something else reads: the path of the file, which the command takes, and the
// access token and encryption key of clients.
var notSettings = []string{"WEIR_CONFIG", "WEIR_ACCESS_TOKEN", "WEIR_ACCESS_TOKEN_FILE", "WEIR_ENCRYPTION_KEY"}

// aliases are variables that S2's own server knows. Those of weir go over them.
var aliases = map[string]string{"S2LITE_INIT_FILE": "init_file"}

// orchestrated matches the variables that Kubernetes puts into every container of a name space that has a service
// called weir or weir-something. They are not settings, and a broker must not refuse to start because of them.
var orchestrated = regexp.MustCompile(`^WEIR_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)?)$`)

func applyEnv(c *Config, environ []string, o origins) error {
	var errs []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		key, ok := aliases[name]
		if !ok {
			continue
		}
		f, _ := fieldByKey(key)
		o[key] = name
		if err := f.setText(c, value); err != nil {
			errs = append(errs, &Error{Key: key, Source: name, Reason: f.reason(err)})
		}
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "WEIR_") || slices.Contains(notSettings, name) {
			continue
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.env() == name })
		if i < 0 {
			if !orchestrated.MatchString(name) {
				errs = append(errs, &Error{Key: name, Reason: "there is no such setting" + suggestEnv(name)})
			}
			continue
		}
		f := fields[i]
		o[f.key] = name
		if err := f.setText(c, value); err != nil {
			errs = append(errs, &Error{Key: f.key, Source: name, Reason: f.reason(err)})
		}
	}
	return errors.Join(errs...)
}

func suggestEnv(name string) string {
	best, distance := "", 4
	for _, f := range fields {
		if d := editDistance(name, f.env()); d < distance {
			best, distance = f.env(), d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}
