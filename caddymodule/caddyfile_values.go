package caddymodule

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// options are those that a block of the Caddyfile has given so far.
type options map[string]bool

// once returns an error if the option at d was given before, unless it is one of
// those that may be repeated.
func (o options) once(d *caddyfile.Dispenser, repeatable ...string) error {
	option := d.Val()
	if o[option] && !slices.Contains(repeatable, option) {
		return d.Errf("%s is given twice", option)
	}
	o[option] = true
	return nil
}

// argument reads an option's single value.
func argument(d *caddyfile.Dispenser, value *string) error {
	option := d.Val()
	args := d.RemainingArgs()
	switch {
	case len(args) != 1:
		return d.Errf("%s: %s; use exactly one", option, plural(uint64(len(args)), "value"))
	case args[0] == "":
		return d.Errf("%s: the value is empty; use text, or a placeholder that has a value", option)
	}
	*value = args[0]
	return nil
}

// arguments reads an option's values, one at least, and checks those that hold no
// placeholder.
func arguments(d *caddyfile.Dispenser, values *[]string, accepted string, check func(string) error) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s: no value; use %s", option, accepted)
	}
	for _, arg := range args {
		if err := check(arg); err != nil && !hasPlaceholder(arg) {
			return d.WrapErr(err)
		}
	}
	*values = append(*values, args...)
	return nil
}

// noValue reads an option that has no value.
func noValue(d *caddyfile.Dispenser, value *bool) error {
	option := d.Val()
	if d.CountRemainingArgs() > 0 {
		return d.Errf("%s: unexpected %q; it takes no value", option, d.RemainingArgs()[0])
	}
	*value = true
	return nil
}

// oneOf reads an option whose value is one of a few words.
func oneOf(d *caddyfile.Dispenser, value *string, words ...string) error {
	option := d.Val()
	if err := argument(d, value); err != nil {
		return err
	}
	if !slices.Contains(words, *value) {
		return d.Errf("%s: %q is not accepted; use %s", option, *value, either(words))
	}
	return nil
}

// duration reads an option whose value is a time such as 24h or 30d.
func duration(d *caddyfile.Dispenser, value *caddy.Duration) error {
	option := d.Val()
	var text string
	if err := argument(d, &text); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(text)
	if err != nil || parsed <= 0 {
		return d.Errf("%s: %q is not accepted; use a time above zero such as 24h or 30d", option, text)
	}
	*value = caddy.Duration(parsed)
	return nil
}

// wrap adds file and line to an error, if there is one.
func wrap(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// either joins words as in "a, b or c".
func either(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

var (
	placeholders = regexp.MustCompile(`\{[a-z][^{}\s]*\}`)

	// globalPlaceholders are those that have a value at provisioning. Any other
	// brace in a regular expression is its own.
	globalPlaceholders = regexp.MustCompile(`\{(?:env|file|system|time)\.[^{}\s]+\}`)
)

// hasPlaceholder reports whether a text may hold a placeholder, so that only
// provisioning can check it.
func hasPlaceholder(text string) bool {
	return placeholders.MatchString(text)
}

// replace puts values in the place of the placeholders in an option's text.
func replace(repl *caddy.Replacer, option string, value *string) error {
	out, err := repl.ReplaceOrErr(*value, true, true)
	if err != nil {
		return fmt.Errorf("%s %s: %w; use text, or a placeholder that has a value", option, *value, err)
	}
	*value = out
	return nil
}

// replaceInRegexp is replace for a regular expression. Caddy's replacer takes a
// backslash before a brace for its own, so it is given the placeholders alone.
func replaceInRegexp(repl *caddy.Replacer, option string, value *string) error {
	var failed error
	*value = globalPlaceholders.ReplaceAllStringFunc(*value, func(placeholder string) string {
		if err := replace(repl, option, &placeholder); err != nil {
			failed = err
		}
		return placeholder
	})
	return failed
}

// optionLines reads the options of a block, each of which may stand once, and returns
// where each stands, for errors that are found later.
func optionLines(d *caddyfile.Dispenser, read func(*caddyfile.Dispenser) error) (map[string]caddyfile.Dispenser, error) {
	given := make(options)
	lines := make(map[string]caddyfile.Dispenser)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := given.once(d); err != nil {
			return nil, err
		}
		lines[d.Val()] = *d
		if err := read(d); err != nil {
			return nil, err
		}
	}
	return lines, nil
}
