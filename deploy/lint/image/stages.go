package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// copyContext copies what Docker would send to the build: the files of the checkout
// that Dockerfile.dockerignore leaves.
func copyContext(to string) error {
	f, err := os.Open(dockerfile + ".dockerignore")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	patterns, err := ignorefile.ReadAll(f)
	if err != nil {
		return err
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		return err
	}
	files, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for file := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		skip, err := ignored.MatchesOrParentMatches(file)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(file); skip || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := copyTo(file, filepath.Join(to, file)); err != nil {
			return err
		}
	}
	return nil
}

// carryOut does a stage's COPY and RUN in the directory build, which stands for its
// WORKDIR. It refuses what it cannot do.
func carryOut(stage instructions.Stage, context, build string) error {
	if err := os.MkdirAll(build, 0o755); err != nil {
		return err
	}
	for _, c := range stage.Commands {
		var err error
		switch c := c.(type) {
		case *instructions.WorkdirCommand:
			if c.Path != workdir {
				err = fmt.Errorf("want WORKDIR %s", workdir)
			}
		case *instructions.ArgCommand: // without a value
		case *instructions.CopyCommand:
			for _, from := range c.SourcePaths {
				args := []string{"-a", filepath.Join(context, from), build + "/"}
				if from == "." {
					args[1] = context + "/."
				}
				if err = command("", "cp", args...); err != nil {
					break
				}
			}
		case *instructions.RunCommand:
			err = command(build, "/bin/sh", "-c", strings.Join(c.CmdLine, " "))
		default:
			err = errors.New("not known here")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
	}
	return nil
}

// workdir is where the first stage works.
const workdir = "/src"

// layOut copies what a stage takes from the first one into root, for the owner that it
// says.
func layOut(stage instructions.Stage, build, root string) error {
	for _, c := range stage.Commands {
		c, ok := c.(*instructions.CopyCommand)
		if !ok {
			continue
		}
		for _, from := range c.SourcePaths {
			within, ok := strings.CutPrefix(from, workdir+"/")
			if !ok {
				return fmt.Errorf("%s: want a source below %s", c, workdir)
			}
			to := filepath.Join(root, c.DestPath)
			if err := copyTo(filepath.Join(build, within), to); err != nil {
				return err
			}
			owner := c.Chown
			if owner == "" {
				owner = "0:0"
			}
			if err := command("", "chown", "-R", owner, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// describe prints a stage's settings as assignments for bash.
func describe(stage instructions.Stage) {
	var env, volumes []string
	for _, c := range stage.Commands {
		switch c := c.(type) {
		case *instructions.EnvCommand:
			for _, kv := range c.Env {
				env = append(env, kv.Key+"="+kv.Value)
			}
		case *instructions.VolumeCommand:
			volumes = append(volumes, c.Volumes...)
		case *instructions.UserCommand:
			fmt.Printf("image_user=%s\n", quote(c.User))
		case *instructions.CmdCommand:
			fmt.Printf("image_cmd=(%s)\n", quote(c.CmdLine...))
		case *instructions.HealthCheckCommand:
			fmt.Printf("image_health=(%s)\n", quote(c.Health.Test[1:]...))
		}
	}
	fmt.Printf("image_env=(%s)\nimage_volumes=(%s)\n", quote(env...), quote(volumes...))
}

// quote returns the words as a shell reads them.
func quote(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
