// Image lays out what the containers of compose.yaml would have, without a container
// engine: it carries out the Dockerfile's first stage on this machine, which must have
// Go, puts into <directory>/<service> what the last stage copies and what compose.yaml
// mounts, and prints the image's USER, ENV, CMD, HEALTHCHECK and VOLUME for a shell. The
// base image is not there. Run it at the top of the repository:
//
//	image <directory>
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const (
	dockerfile = "deploy/docker/Dockerfile"
	compose    = "deploy/docker/compose.yaml"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: image <directory>")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	stages, err := parse()
	if err != nil {
		return err
	}
	if len(stages) != 2 {
		return fmt.Errorf("%s has %d stages, want 2", dockerfile, len(stages))
	}
	context := filepath.Join(dir, "context")
	if err := copyContext(context); err != nil {
		return err
	}
	build := filepath.Join(dir, "build")
	if err := carryOut(stages[0], context, build); err != nil {
		return err
	}
	project, err := load()
	if err != nil {
		return err
	}
	if err := layOut(stages[1], build, filepath.Join(dir, "image")); err != nil {
		return err
	}
	for name, service := range project.Services {
		root := filepath.Join(dir, name)
		if err := layOut(stages[1], build, root); err != nil {
			return err
		}
		for _, v := range service.Volumes {
			if v.Type != "bind" {
				continue
			}
			if err := copyTo(v.Source, filepath.Join(root, v.Target)); err != nil {
				return err
			}
		}
	}
	describe(stages[1])
	return nil
}

func parse() ([]instructions.Stage, error) {
	f, err := os.Open(dockerfile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	parsed, err := parser.Parse(f)
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	return stages, err
}

func load() (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{compose})
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

// copyTo copies a file or a directory.
func copyTo(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return command("", "cp", "-a", "-T", from, to)
}

// command runs a command in dir.
func command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
