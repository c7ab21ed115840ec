package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the variables that set keys: STOMPBOX_HTTP_LISTEN is http.listen.
const envPrefix = "STOMPBOX"

// TokenVariable and PasscodeVariable hold what the commands connect with that are
// clients of a broker.
const (
	TokenVariable    = envPrefix + "_TOKEN"
	PasscodeVariable = envPrefix + "_PASSCODE"
)

// clientVariables are those of clients, such as the examples. They set no key.
var clientVariables = []string{TokenVariable, PasscodeVariable, envPrefix + "_HTTP", envPrefix + "_URL", envPrefix + "_TCP"}

// Source says where to read from.
type Source struct {
	// File is a YAML file; empty reads stompbox.yaml where there is one.
	File string
	// Flags are command-line flags by the key that they set. Only those that
	// were given count.
	Flags map[string]*pflag.Flag
	// Client says that the command does not serve, so that a configuration without
	// any credentials is no mistake.
	Client bool
	// Environ are the process's variables; nil means os.Environ.
	Environ []string
}

// Load reads and checks a configuration: flags win over variables, those over
// the file, that over defaults. An unknown key is an error that names the
// nearest known one.
func Load(src Source) (*Config, error) {
	v := viper.New()
	for key, value := range defaults() {
		v.SetDefault(key, value)
	}
	known := leafKeys()
	named, err := readFile(v, src.File, known)
	if err != nil {
		return nil, err
	}
	environ := src.Environ
	if environ == nil {
		environ = os.Environ()
	}
	if err := readEnv(v, environ, known); err != nil {
		return nil, err
	}
	for key, flag := range src.Flags {
		if flag != nil && flag.Changed {
			v.Set(key, flag.Value.String())
		}
	}
	c := new(Config)
	if err := v.UnmarshalExact(c, viper.DecodeHook(decodeHook())); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if err := decodeNamed(named, c); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return c, c.check(src.Client)
}

// readFile sets the keys of a file, but for the maps with names of the operator's, which
// it returns.
func readFile(v *viper.Viper, file string, known []string) (named map[string]any, err error) {
	explicit := file != ""
	if !explicit {
		file = "stompbox.yaml"
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && !explicit {
		return nil, nil
	}
	var settings map[string]any
	if err == nil {
		err = yaml.Unmarshal(text, &settings)
	}
	if err != nil {
		return nil, fmt.Errorf("configuration: cannot read %s: %w", file, err)
	}
	named = takeNamed(settings, reflect.TypeFor[Config]())
	only := viper.New() // without the defaults, so that only the file's keys are checked
	if err := only.MergeConfigMap(settings); err != nil {
		return nil, fmt.Errorf("configuration: cannot read %s: %w", file, err)
	}
	settings = only.AllSettings()
	if unknown := append(unknownKeys(settings), unknownKeys(named)...); len(unknown) > 0 {
		return nil, fmt.Errorf("configuration: %s: unknown key %s", file, suggestion(unknown[0], known))
	}
	return named, v.MergeConfigMap(settings)
}

// serviceLink matches the variables that Kubernetes sets in every container for each
// service of the namespace. A service called stompbox makes some that begin like keys.
// NAME_PORT counts only with a URL as its value: a number is a mistake to report.
var serviceLink = regexp.MustCompile(`^\w+_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=\d+|PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.*)$`)

// readEnv sets the keys that variables name. Lists are separated by commas.
func readEnv(v *viper.Viper, environ, known []string) error {
	byName := make(map[string]string, len(known))
	var names []string
	for _, key := range known {
		name := envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		byName[name] = key
		names = append(names, name)
	}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix+"_") {
			continue
		}
		if slices.Contains(clientVariables, name) {
			continue
		}
		key, ok := byName[name]
		if !ok && serviceLink.MatchString(entry) {
			continue
		}
		if !ok {
			return fmt.Errorf("configuration: unknown variable %s", suggestion(name, names))
		}
		v.Set(key, value)
	}
	return nil
}
