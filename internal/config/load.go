package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"
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
// nearest known one. An error has all faults, a line each.
func Load(src Source) (*Config, error) {
	c, where, faults := Read(src)
	return c, where.Join(faults)
}

// Read is Load for those who have more to check: it returns all faults, and where keys
// were set. The configuration is nil where it cannot be read at all.
func Read(src Source) (*Config, *Locations, []error) {
	where := &Locations{lines: make(map[string]int), other: make(map[string]string), given: make(map[string]string)}
	v := viper.New()
	for key, value := range defaults() {
		v.SetDefault(key, value)
	}
	known := leafKeys()
	named, faults, err := readFile(v, src.File, where)
	if err != nil {
		return nil, where, []error{err}
	}
	environ := src.Environ
	if environ == nil {
		environ = os.Environ()
	}
	faults = append(faults, readEnv(v, environ, known, where)...)
	for key, flag := range src.Flags {
		if flag != nil && flag.Changed {
			where.setBy(key, "--"+flag.Name, v)
			v.Set(key, flag.Value.String())
		}
	}
	c := new(Config)
	faults = append(faults, decode(v, c)...)
	if err := decodeNamed(named, c); err != nil {
		return nil, where, append(faults, err)
	}
	fillEntries(c, where)
	return c, where, append(faults, check(c, src.Client)...)
}

// decode fills c. A value that cannot be one of its key is a fault, and gives way to the
// default, so that the others can be checked.
func decode(v *viper.Viper, c *Config) (faults []error) {
	for range len(defaults()) {
		*c = Config{}
		err := v.UnmarshalExact(c, viper.DecodeHook(decodeHook()))
		if err == nil {
			return faults
		}
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without a headline
		}
		replaced := false
		for _, problem := range flatten([]error{err}) {
			var wrong *mapstructure.DecodeError
			if !errors.As(problem, &wrong) {
				continue
			}
			replaced = withoutValue(v, wrong.Name()) || replaced
			faults = append(faults, problem)
		}
		if !replaced {
			return append(faults, err)
		}
	}
	return faults
}

// withoutValue puts the default in place of a value, which may be in a list, and reports
// whether there is one.
func withoutValue(v *viper.Viper, name string) bool {
	key, rest, inList := strings.Cut(name, "[")
	value, known := defaults()[key]
	if !known {
		return false
	}
	if list, ok := v.Get(key).([]any); inList && ok {
		place, field, _ := strings.Cut(rest, "].")
		i, err := strconv.Atoi(place)
		if err == nil && i < len(list) && deleteIn(list[i], field) {
			v.Set(key, list)
			return true
		}
	}
	v.Set(key, value)
	return true
}

// deleteIn takes a field out of a map of a file, and reports whether it was there.
func deleteIn(value any, field string) bool {
	m, ok := value.(map[string]any)
	if !ok {
		return false
	}
	for name := range m {
		if strings.EqualFold(name, field) {
			delete(m, name)
			return true
		}
	}
	return false
}

// readFile sets the keys of a file, except for the maps with names of the operator's, which
// it returns.
func readFile(v *viper.Viper, file string, where *Locations) (named map[string]any, faults []error, err error) {
	explicit := file != ""
	if !explicit {
		file = "stompbox.yaml"
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && !explicit {
		return nil, nil, nil
	}
	where.file = file
	var settings map[string]any
	var root yaml.Node
	if err == nil {
		err = onlyDocument(text, &root)
	}
	d := document{where: where, given: make(map[string]int)}
	if err == nil && len(root.Content) > 0 {
		d.walk(root.Content[0], reflect.TypeFor[Config](), "", "")
		err = root.Decode(&settings)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("configuration: cannot read %s: %w", file, err)
	}
	named = takeNamed(settings, reflect.TypeFor[Config]())
	return named, d.faults, v.MergeConfigMap(settings)
}

// onlyDocument reads the one document of a file.
func onlyDocument(text []byte, root *yaml.Node) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // it is empty
		}
		return err
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("line %d begins a second document, which would not be read; put all keys into one, and leave out the line ---", second.Line)
}

// serviceLink matches the variables that Kubernetes sets in every container for each
// service of the namespace. A service called stompbox makes some that begin like keys.
// NAME_PORT counts only with a URL as its value: a number is a mistake to report.
var serviceLink = regexp.MustCompile(`^\w+_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=\d+|PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=.*)$`)

// readEnv sets the keys that variables name. Lists are separated by commas.
func readEnv(v *viper.Viper, environ, known []string, where *Locations) (faults []error) {
	byName := make(map[string]string, len(known))
	empty := new(Config)
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
			faults = append(faults, fmt.Errorf("unknown variable %s", suggestionOf(name, nearestVariable(name, names))))
			continue
		}
		if why := whyNoVariable(fieldOf(empty, key).Type(), value); why != "" {
			faults = append(faults, fmt.Errorf("the variable %s %s", name, fmt.Sprintf(why, key)))
			continue
		}
		where.setBy(key, name, v)
		v.Set(key, value)
	}
	return faults
}

// whyNoVariable says why a variable cannot set a key of the type t to a value, or "".
func whyNoVariable(t reflect.Type, value string) string {
	kind := t.Kind()
	switch {
	case kind == reflect.Map || kind == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "cannot set %s, whose entries have keys of their own; write them into the file"
	case strings.TrimSpace(value) == "" && kind != reflect.String && kind != reflect.Slice:
		return "is empty; unset it, or give %s a value"
	}
	return ""
}
