package lint

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// TestCompose: compose.yaml is valid, all that it names is there, and the demo is
// published on this machine alone.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../docker/compose.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range project.Services {
		if len(s.Ports) == 0 {
			t.Errorf("%s publishes nothing", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %d is published on %q", name, p.Target, p.HostIP)
			}
		}
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); v.Type == types.VolumeTypeBind && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	// grace_period of its Caddyfile, and what the module needs.
	if got := project.Services["shop"].StopGracePeriod; got == nil || time.Duration(*got) < 3*time.Second+2*time.Second {
		t.Errorf("the shop has %v to end", got)
	}
}
