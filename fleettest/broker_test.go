package fleettest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBroker runs the tests of ../forwarder/fleet that need a nats-server. They are
// there, because they use what the package does not export, and get the server as a
// program: so they can give it any configuration, kill it, and run three of them.
func TestBroker(t *testing.T) {
	program := filepath.Join(t.TempDir(), "nats-server")
	build := exec.Command("go", "build", "-o", program, "github.com/nats-io/nats-server/v2")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("nats-server cannot be built: %v\n%s", err, out)
	}
	arguments := []string{"test", "-count=1"}
	if testing.Verbose() {
		arguments = append(arguments, "-v")
	}
	test := exec.CommandContext(t.Context(), "go", append(arguments, "./forwarder/fleet")...)
	test.Dir = ".."
	test.Env = append(os.Environ(), "INTILERY_TEST_NATS_SERVER="+program)
	out, err := test.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
