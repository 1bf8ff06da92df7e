package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAgreementsDocument follows docs/AGREEMENTS.md: each yaml block is saved as agreements.yaml, each console block run and compared.
func TestAgreementsDocument(t *testing.T) {
	text, dir := document(t, "AGREEMENTS.md"), t.TempDir()
	saved, ran := 0, 0
	for _, m := range regexp.MustCompile("(?ms)^```(yaml|console)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		if m[1] == "yaml" {
			saved++
			if err := os.WriteFile(filepath.Join(dir, "agreements.yaml"), []byte(m[2]), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for _, command := range strings.Split(m[2], "$ supstream ")[1:] {
			line, want, _ := strings.Cut(command, "\n")
			got := runIn(t, dir, nil, strings.Fields(line)...)
			out := got.stdout + got.stderr
			if got.code != exitOK {
				out += fmt.Sprintf("(exit code %d)\n", got.code)
			}
			if ran++; out != want {
				t.Errorf("supstream %s\ngot\n%swant\n%s", line, out, want)
			}
		}
	}
	if saved != 2 || ran != 6 {
		t.Errorf("found %d registers and %d commands: the test no longer reads the document as it is written", saved, ran)
	}
}

// TestCommandsDocument: docs/CLI.md has one section per command, with its arguments and exactly its flags.
func TestCommandsDocument(t *testing.T) {
	sections := map[string][]string{} // heading → flags
	heading := ""
	flagText := regexp.MustCompile("`--([a-z-]+)")
	for line := range strings.Lines(document(t, "CLI.md")) {
		if strings.HasPrefix(line, "#") {
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
			sections[heading] = nil
		}
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, m := range flagText.FindAllStringSubmatch(cells[1], -1) {
				sections[heading] = append(sections[heading], m[1])
			}
		}
	}
	root := newRoot(&app{})
	usageText := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`)
	own := func(cmd *cobra.Command) []string {
		names := []string{}
		if cmd == root {
			names = append(names, "help")
		}
		for _, m := range usageText.FindAllStringSubmatch(cmd.LocalFlags().FlagUsages(), -1) {
			if m[1] != "help" {
				names = append(names, m[1])
			}
		}
		slices.Sort(names)
		return names
	}
	check := func(heading string, cmd *cobra.Command) {
		flags, there := sections[heading]
		slices.Sort(flags)
		switch want := own(cmd); {
		case !there:
			t.Errorf("no section %q", heading)
		case !slices.Equal(flags, want):
			t.Errorf("section %q: documented flags %q, true flags %q", heading, flags, want)
		}
		delete(sections, heading)
	}
	check("Flags of every command", root)
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			check(strings.TrimSuffix(c.UseLine(), " [flags]"), c)
			walk(c)
		}
	}
	walk(root)
	for heading := range sections {
		if strings.HasPrefix(heading, "supstream ") && heading != "supstream completion" {
			t.Errorf("section %q is about no command", heading)
		}
	}
}
