package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/stompbox/stompbox/internal/config"
)

const schemaFile = "../../internal/config/schema.json"

// TestReferenceOfSchema makes the schema of what the other references are made of.
func TestReferenceOfSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../stompbox.example.yaml")
	require.NoError(t, err)
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(text, &document))
	comments := make(map[string]string)
	collectComments(document.Content[0], "", comments)
	made, err := json.MarshalIndent(config.Schema(func(key string) string {
		if text, ok := keyTexts[key]; ok {
			return text
		}
		return comments[key]
	}), "", "  ")
	require.NoError(t, err)
	made = append(made, '\n')
	if updateDocs {
		require.NoError(t, os.WriteFile(schemaFile, made, 0o644))
		return
	}
	require.Equal(t, string(made), string(config.SchemaFile), "internal/config/schema.json is not what the source says; run make docs")
}

// schemaChecker validates a file by the schema that the program prints.
func schemaChecker(t *testing.T) func(text []byte) error {
	t.Helper()
	out, _, err := run(t, nil, "config", "schema")
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(out)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource(config.SchemaURL, document))
	schema, err := compiler.Compile(config.SchemaURL)
	require.NoError(t, err)
	return func(text []byte) error {
		var value any
		require.NoError(t, yaml.Unmarshal(text, &value))
		asJSON, err := json.Marshal(value)
		require.NoError(t, err)
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		require.NoError(t, err)
		return schema.Validate(instance)
	}
}

// TestTheSchemaKnowsWhatIsFine: the example and the first file, and what serve refuses.
func TestTheSchemaKnowsWhatIsFine(t *testing.T) {
	t.Parallel()
	check := schemaChecker(t)
	for _, file := range []string{
		"../../stompbox.example.yaml", "../../internal/config/starting.yaml", "../../examples/cluster/stompbox.yaml", "../../examples/dashboard/stompbox.yaml",
		"../../deploy/docker/stompbox.yaml", "../../deploy/package/stompbox.yaml",
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		require.NoError(t, check(text), file)
	}
	text, err := os.ReadFile("../../stompbox.example.yaml")
	require.NoError(t, err)
	require.Contains(t, string(text), "# yaml-language-server: $schema="+config.SchemaURL+"\n")
	for _, fine := range []string{
		"limits: { headers: '100', user_connections: '0', dedup_id: '0' }", "limits: { message_rate: '0' }", "heartbeat: { grace: '2.5', send: '0' }", "http: { compression: 'true' }", "stomp: { client_tls: { required: 'False' } }",
		"nats: { user: 123, password: 0123 }", "cluster: { node: 1, name: true }", "http: { allowed_origins: [1] }", "metrics: { allowed_hosts: 1 }",
		"events: { retry: 1h30m, max_lifetime: 0 }", "limits: { body: 1.5GiB, header_line: 64kb, dedup_id: 0 }", "http: { allowed_origins: 'https://a.example' }",
		"auth: { roles: { ROLE_ADMIN: { send: [/topic/a] } } }", "data: { sync: always }",
		"log: { level: INFO }", "log: { level: Warn }", "http:", "auth: { jwt: ~, logins: ~ }", "auth: { roles: { a: ~ } }", "stomp: { listen: ~ }",
	} {
		require.NoError(t, check([]byte(fine)), fine)
	}
	for _, wrong := range []string{
		"limits: { headers: '' }", "limits: { headers: ' ' }", "limits: { headers: '0' }", "limits: { headers: '1.5' }", "limits: { headers: '0100' }", "limits: { headers: '-1' }", "limits: { headers: '0x40' }", "limits: { body: '4194304' }", "limits: { body: '0' }",
		"heartbeat: { grace: 'much' }", "http: { compression: 'on' }", "http: { compression: '' }", "http: { compression: 1 }",
		"htp: { listen: a }", "http: { listn: a }", "events: { retry: 30 }", "events: { retry: 30x }", "limits: { body: 4194304 }", "limits: { body: 64M }",
		"limits: { headers: -1 }", "limits: { headers: many }", "limits: { headers: 0 }", "limits: { headers: 1.5 }", "limits: { body: 0 }", "events: { retry: 0 }", "log: { level: loud }", "outbox: { policy: drop }", "queues: { policies: [ { match: /queue/a, max_bytes: 1 } ] }",
		"queues: { policies: { match: /queue/a } }", "auth: { roles: { a: { sends: [] } } }", "acme: { listeners: [htp] }", "dev: 1",
		"log: { level: INFOS }", "log: { level: ~ }", "log: { format: TEXT }", "limits: { body: ~ }", "dev: ~", "http: { allowed_origins: [~] }",
	} {
		require.Error(t, check([]byte(wrong)), wrong)
	}
}

// TestTheSchemaTakesNoValueWhereTheBrokerDoes, for each section and key.
func TestTheSchemaTakesNoValueWhereTheBrokerDoes(t *testing.T) {
	t.Parallel()
	check := schemaChecker(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	compared := 0
	var walk func(schema any, path []string)
	walk = func(schema any, path []string) {
		properties, _ := schema.(map[string]any)["properties"].(map[string]any)
		for name, of := range properties {
			at := append(slices.Clone(path), name)
			text := strings.Join(at, ": { ") + ": ~" + strings.Repeat(" }", len(at)-1)
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			_, _, faults := config.Read(config.Source{File: file, Client: true, Environ: []string{}})
			refused := slices.ContainsFunc(faults, func(fault error) bool { return fault != nil && strings.Contains(fault.Error(), "has no value") })
			require.Equal(t, refused, check([]byte(text)) != nil, "%s: %v", text, faults)
			compared++
			walk(of, at)
		}
	}
	var schema any
	require.NoError(t, json.Unmarshal(config.SchemaFile, &schema))
	walk(schema, nil)
	require.Greater(t, compared, 150)
}

// TestAFirstConfigurationServes: what init writes is served as it is.
func TestAFirstConfigurationServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, stderr, err := run(t, nil, "config", "init", dir+"/stompbox.yaml")
	require.NoError(t, err, stderr)
	require.Contains(t, out, "wrote "+dir+"/jwt.secret")
	info, err := os.Stat(dir + "/jwt.secret")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, stderr, err = run(t, nil, "config", "init", dir+"/stompbox.yaml")
	require.Error(t, err)
	require.Contains(t, stderr, "is there already, and stays as it is; name another FILE")
	require.NoError(t, os.Remove(dir+"/stompbox.yaml"))
	out, _, err = run(t, nil, "config", "init", dir+"/stompbox.yaml")
	require.NoError(t, err)
	require.Contains(t, out, "kept "+dir+"/jwt.secret")
	out, _, err = run(t, nil, "config", "init", "-")
	require.NoError(t, err)
	require.Equal(t, string(config.StartingFile), out)

	p := serve(t, nil, "-c", dir+"/stompbox.yaml", "--metrics", "")
	out, stderr, err = run(t, nil, "config", "print", "--changed", "-c", dir+"/stompbox.yaml", "--log-level", "warn")
	require.NoError(t, err, stderr)
	require.Contains(t, out, dir+"/jwt.secret")
	require.Regexp(t, `level: warn +# --log-level`, out)
	require.Regexp(t, `message_rate: 100 +# `+dir+`/stompbox.yaml:\d+`, out)
	require.NotContains(t, out, "write_timeout")
	p.stop(t)
	out, stderr, err = run(t, []string{"STOMPBOX_LOG_LEVEL=loud"}, "config", "print", "--json", "-c", dir+"/stompbox.yaml")
	require.Error(t, err)
	require.Contains(t, stderr, `STOMPBOX_LOG_LEVEL: log.level "loud"`)
	var all []config.Setting
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.NotEmpty(t, all)
}
