package check

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

var dockerfiles = []string{"../docker/Dockerfile", "../docker/Dockerfile.release"}

// noRegistry stands for the registries of base images: linting needs no more of them
// than a platform.
type noRegistry struct{}

func (noRegistry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"}})
	return ref, digest.FromBytes(config), config, err
}

func TestDockerfilesLint(t *testing.T) {
	for _, file := range dockerfiles {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		source := llb.NewSourceMap(nil, file, "Dockerfile", text)
		source.Definition = new(llb.Definition)
		result, err := dockerfile2llb.DockerfileLint(t.Context(), text, dockerfile2llb.ConvertOpt{MetaResolver: noRegistry{}, SourceMap: source})
		require.NoError(t, err)
		require.Nil(t, result.Error, file)
		require.Empty(t, result.Warnings, file)
	}
}

// TestImagesAreAlike: an image of a release differs only in where its program is from.
func TestImagesAreAlike(t *testing.T) {
	var images [][]string
	for _, file := range dockerfiles {
		stage := lastStage(t, file)
		require.Equal(t, "scratch", stage.BaseName)
		var commands []string
		for _, command := range stage.Commands {
			text := command.(interface{ String() string }).String()
			if _, isArg := command.(*instructions.ArgCommand); isArg || strings.Contains(text, "--from=") || strings.HasSuffix(text, "/usr/bin/stompbox") {
				continue
			}
			commands = append(commands, text)
		}
		images = append(images, commands)
	}
	require.Equal(t, images[0], images[1])
	require.Contains(t, images[0], "USER 65532:65532")
	require.Contains(t, strings.Join(images[0], "\n"), `HEALTHCHECK`)
}

func lastStage(t *testing.T, file string) instructions.Stage {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	parsed, err := parser.Parse(strings.NewReader(string(text)))
	require.NoError(t, err)
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{}))
	require.NoError(t, err)
	return stages[len(stages)-1]
}

// TestComposeFilesLoad has Compose's own loader read the files, and stompbox check what
// each container gets.
func TestComposeFilesLoad(t *testing.T) {
	inImage, err := os.ReadFile("../docker/stompbox.yaml")
	require.NoError(t, err)
	const example = "../../examples/compose/compose.yaml"
	mounted, err := os.ReadFile("../../examples/compose/stompbox.yaml")
	require.NoError(t, err)
	for file, services := range map[string]int{"../docker/compose.yaml": 1, "../docker/compose.cluster.yaml": 3, example: 1} {
		configuration := string(inImage)
		if file == example {
			configuration = string(mounted)
		}
		_, err := compose(t, file)
		require.ErrorContains(t, err, "STOMPBOX_AUTH_JWT_SECRET", "without a secret nothing starts")
		project, err := compose(t, file, "STOMPBOX_AUTH_JWT_SECRET=a secret of this test, which is long enough", "STOMPBOX_CLUSTER_PASSWORD=a password of this test")
		require.NoError(t, err)
		require.Len(t, project.Services, services)
		for name, service := range project.Services {
			require.True(t, service.ReadOnly)
			require.Equal(t, []string{"ALL"}, service.CapDrop)
			env := []string{"STOMPBOX_DATA_DIR=/data"}
			for key, value := range service.Environment {
				env = append(env, key+"="+*value)
			}
			stompboxAccepts(t, file+" "+name, configuration, env)
		}
	}
}

func compose(t *testing.T, file string, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(env), cli.WithResolvedPaths(true))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}
