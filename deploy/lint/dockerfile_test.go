package lint

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// bases answers for every base image without asking a registry.
type bases struct{}

func (bases) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{
		Platform: ocispecs.Platform{OS: "linux", Architecture: "amd64"},
		Config:   ocispecs.ImageConfig{Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}},
	})
	return ref, digest.FromBytes(config), config, err
}

// check is what `docker build --check` does.
func check(t *testing.T, dockerfile string) []string {
	t.Helper()
	results, err := dockerfile2llb.DockerfileLint(t.Context(), []byte(dockerfile), dockerfile2llb.ConvertOpt{
		MetaResolver:   bases{},
		TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"},
		SourceMap:      &llb.SourceMap{Definition: &llb.Definition{}, Filename: "Dockerfile", Data: []byte(dockerfile)},
		LLBCaps:        ptr(pb.Caps.CapSet(pb.Caps.All())),
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, w := range results.Warnings {
		found = append(found, w.RuleName+": "+w.Detail)
	}
	if results.Error != nil {
		found = append(found, results.Error.Message)
	}
	return found
}

func ptr[T any](v T) *T { return &v }

// TestDockerfile: Docker has no warning about it.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("../docker/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range check(t, string(text)) {
		t.Error(f)
	}
	if len(check(t, string(text)+"\nENV X=$NOWHERE\n")) == 0 {
		t.Error("a variable that is not set is not found")
	}
	if len(check(t, string(text)+"\nENTRYPOINT caddy run\n")) == 0 {
		t.Error("an ENTRYPOINT by a shell is not found")
	}
}
