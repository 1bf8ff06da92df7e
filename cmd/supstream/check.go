package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"supstream/agreements"
	"supstream/catalog"
)

func newCheck(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look at everything that can be known before the start",
		Long: `Check looks at configuration, catalogue, agreements, Postgres, NATS, folders, keys and ports, says what it found, and how to mend what stands
in the way. It changes nothing, and may be used while supstream runs.

Exit code 0: nothing stands in the way. 3: something does. 1: a server could not be asked, so there may be more. 2: a file given to it is wrong.`,
		Example: "  supstream check -c supstream.yaml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			k := &checkup{app: a, config: c, now: time.Now(), Findings: []checkFinding{}}
			if err := k.run(cmd.Context()); err != nil {
				return err
			}
			problems, unknown := k.count(levelProblem), k.count(levelUnknown)
			k.OK = problems+unknown == 0
			if asJSON {
				err = a.printJSON(k)
			} else {
				err = k.print()
			}
			switch {
			case err != nil:
				return err
			case unknown > 0:
				return fmt.Errorf("check: not everything could be looked at: %d unknown; %d in the way of a start", unknown, problems)
			case problems > 0:
				return findings(fmt.Errorf("check: %d in the way of a start", problems))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// Levels of findings.
const (
	levelOK      = "ok"
	levelInfo    = "info"    // worth knowing
	levelProblem = "problem" // stands in the way of a start, or of a safe one
	levelUnknown = "unknown" // could not be looked at
)

// checkFinding is one thing that was looked at.
type checkFinding struct {
	Part    string `json:"part"` // configuration, catalogue, agreements, postgres, nats, folders, keys, http
	Level   string `json:"level"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Fix     string `json:"fix,omitempty"`
}

// checkup is a run of check and its result.
type checkup struct {
	OK       bool           `json:"ok"`
	Findings []checkFinding `json:"findings"`

	app      *app
	config   *Config
	catalog  *catalog.Catalog
	register *agreements.Register
	now      time.Time
	running  bool // a supstream has the embedded store open
}

// run looks at everything. An error means that a file given to us is wrong.
func (k *checkup) run(ctx context.Context) error {
	if err := k.files(); err != nil {
		return err
	}
	if k.has(roleCapture) {
		if err := k.postgres(ctx); err != nil {
			return err
		}
	}
	if k.config.NATS.URL == "" {
		k.embedded()
	} else {
		k.cluster(ctx)
	}
	k.folders()
	k.keys()
	if k.has(roleServe) && k.config.HTTP.Listen != "" {
		k.http(ctx)
	}
	return ctx.Err()
}

func (k *checkup) has(role string) bool { return slices.Contains(k.config.Roles, role) }

func (k *checkup) add(part, level, subject, text, fix string) {
	k.Findings = append(k.Findings, checkFinding{part, level, subject, text, fix})
}

func (k *checkup) count(level string) (n int) {
	for _, f := range k.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// print writes the findings by part. What needs somebody's attention comes first within each.
func (k *checkup) print() error {
	w := bufio.NewWriter(k.app.stdout)
	order := []string{levelUnknown, levelProblem, levelInfo, levelOK}
	for rest := k.Findings; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(f checkFinding) bool { return f.Part != rest[0].Part })
		if n < 0 {
			n = len(rest)
		}
		part := slices.Clone(rest[:n])
		rest = rest[n:]
		slices.SortStableFunc(part, func(x, y checkFinding) int {
			return cmp.Compare(slices.Index(order, x.Level), slices.Index(order, y.Level))
		})
		fmt.Fprintln(w, part[0].Part)
		for _, f := range part {
			fmt.Fprintf(w, "  %-7s  %s: %s\n", f.Level, f.Subject, indent(f.Text))
			if f.Fix != "" {
				fmt.Fprintf(w, "           fix: %s\n", indent(f.Fix))
			}
		}
	}
	return w.Flush()
}

// indent keeps the further lines of a text behind the first.
func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n           ") }
