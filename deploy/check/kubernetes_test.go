package check

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// The versions of Kubernetes that the chart is tried with.
const (
	oldestKubernetes = "1.30.14"
	newestKubernetes = "1.37.2"
)

// schemas are those that one version of Kubernetes publishes for its API.
type schemas struct {
	dir      string // of OpenAPI documents
	compiled map[string]*jsonschema.Schema
}

// kubernetesSchemas gets them from the Go module of Kubernetes, whose checksum the go
// command verifies.
func kubernetesSchemas(t *testing.T, version string) *schemas {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@v"+version).Output()
	require.NoError(t, err, string(out))
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	return &schemas{dir: filepath.Join(module.Dir, "api", "openapi-spec", "v3"), compiled: map[string]*jsonschema.Schema{}}
}

// validate checks an object against the schema of its apiVersion and kind.
func (s *schemas) validate(o object) error {
	version, kind := o["apiVersion"].(string), o["kind"].(string)
	schema, ok := s.compiled[version+kind]
	if !ok {
		var err error
		if schema, err = s.compile(version, kind); err != nil {
			return err
		}
		s.compiled[version+kind] = schema
	}
	// The validator wants numbers as encoding/json makes them.
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func (s *schemas) compile(version, kind string) (*jsonschema.Schema, error) {
	file := "apis__" + strings.ReplaceAll(version, "/", "__") + "_openapi.json"
	if version == "v1" {
		file = "api__v1_openapi.json"
	}
	text, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	definitions := document.(object)["components"].(object)["schemas"].(object)
	name := ""
	group, number, found := strings.Cut(version, "/")
	if !found {
		group, number = "", version
	}
	for candidate, definition := range definitions {
		kinds, _ := definition.(object)["x-kubernetes-group-version-kind"].([]any)
		for _, k := range kinds {
			if k := k.(object); k["group"] == group && k["version"] == number && k["kind"] == kind {
				name = candidate
			}
		}
		makeStrict(definition)
	}
	if name == "" {
		return nil, fmt.Errorf("%s has no %s", version, kind)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		return nil, err
	}
	return compiler.Compile("openapi.json#/components/schemas/" + name)
}

// makeStrict refuses fields that a schema does not name, at any depth.
func makeStrict(schema any) {
	switch schema := schema.(type) {
	case object:
		_, named := schema["properties"]
		if _, other := schema["additionalProperties"]; named && !other {
			schema["additionalProperties"] = false
		}
		for _, inner := range schema {
			makeStrict(inner)
		}
	case []any:
		for _, inner := range schema {
			makeStrict(inner)
		}
	}
}
