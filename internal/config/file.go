package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/alecthomas/kong"
)

// File is the setting that names the configuration file. A command that embeds
// it reads the file and the environment, and has all its settings checked.
type File struct {
	Config string `name:"config" env:"PRATIQUE_CONFIG" placeholder:"FILE" help:"YAML file with settings. A flag, then an environment variable wins over it."`

	// document is what the file says, nil where there is none.
	document *document
}

// BeforeReset is called by kong before it reads the environment. A resolver
// must be there already for an empty variable to be no mistake.
func (f *File) BeforeReset(ctx *kong.Context) error {
	settings := byEnv()
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		setting, ok := settingOf(flag, settings)
		if !ok {
			return nil, nil
		}
		return f.resolve(setting), nil
	}))
	return nil
}

// BeforeResolve is called by kong once the name of the file is known. It reads it.
func (f *File) BeforeResolve(ctx *kong.Context) (err error) {
	f.document = nil
	for _, flag := range ctx.Flags() {
		if flag.Name != "config" || !flag.Target.CanAddr() || flag.Target.Addr().Interface() != any(&f.Config) {
			continue
		}
		if path, _ := ctx.FlagValue(flag).(string); path != "" {
			f.document, err = readDocument(path)
		}
	}
	return err
}

// resolve gives the value of a setting that no flag gives; nil leaves what kong
// took from the environment or the default. An empty environment variable is
// as good as none: compose files pass on variables that are not set so.
func (f *File) resolve(s Setting) any {
	value, set := os.LookupEnv(s.Env)
	if value != "" {
		return nil
	}
	if f.document != nil {
		if entry, ok := f.document.values[s.Name]; ok {
			return entry.value
		}
	}
	switch {
	case !set:
		return nil
	case s.kind == listType && s.Default == "":
		return []any{}
	}
	return s.Default
}

// AfterApply is called by kong once every value is in its place. It checks them.
func (f *File) AfterApply(ctx *kong.Context) error {
	settings := byEnv()
	given := map[*kong.Flag]bool{}
	for _, path := range ctx.Path {
		if path.Flag != nil && !path.Resolved {
			given[path.Flag] = true
		}
	}
	values := map[string]placed{}
	var wrong []error
	for _, flag := range ctx.Flags() {
		setting, ok := settingOf(flag, settings)
		if !ok {
			continue
		}
		v := placed{value: flag.Target, origin: f.origin(setting, given[flag])}
		values[setting.Name] = v
		if err := setting.verify(v.value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", v.origin, err))
		}
	}
	if len(wrong) == 0 {
		wrong = together(values)
	}
	return errors.Join(wrong...)
}

// placed is a value with the place that it comes from.
type placed struct {
	value  reflect.Value
	origin string
}

// origin names the place that a value comes from, for messages.
func (f *File) origin(s Setting, flag bool) string {
	if flag {
		return "--" + s.Name
	}
	if os.Getenv(s.Env) != "" {
		return s.Env
	}
	if f.document != nil {
		if entry, ok := f.document.values[s.Name]; ok {
			return fmt.Sprintf("%s:%d: %s", f.document.path, entry.line, s.Name)
		}
	}
	return s.Name + " (default)"
}

func byEnv() map[string]Setting {
	settings := map[string]Setting{}
	for _, s := range Settings() {
		settings[s.Env] = s
	}
	return settings
}

// settingOf tells the setting behind a flag; a command may have other flags too.
func settingOf(flag *kong.Flag, settings map[string]Setting) (Setting, bool) {
	if len(flag.Envs) != 1 {
		return Setting{}, false
	}
	s, ok := settings[flag.Envs[0]]
	return s, ok && s.Name == flag.Name
}
