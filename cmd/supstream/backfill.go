package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"supstream/ops"
)

func newBackfill(a *app) *cobra.Command {
	return group("backfill", "Have rows read again by the running supstream, while changes go on",
		newBackfillChange(a, "cancel", "End an order; what was published stays"),
		newBackfillList(a),
		newBackfillChange(a, "pause", "Stop an order until it is resumed"),
		newBackfillChange(a, "resume", "Go on with an order that was paused or has failed"),
		newBackfillShow(a),
		newBackfillStart(a),
		newBackfillThrottle(a),
	)
}

// orderClient reaches the running process, which has made the token in its data directory.
func (a *app) orderClient() (*ops.Client, *Config, error) {
	c, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	if c.HTTP.Listen == "" {
		return nil, nil, badInput(errors.New("backfill: http.listen is empty, so the process cannot be reached: set it to host:port"))
	}
	token, err := readAdminToken(c.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: no process with the roles capture and serve has run in this data_dir", err)
	}
	if err != nil {
		return nil, nil, err
	}
	return &ops.Client{Listen: c.HTTP.Listen, Token: token}, c, nil
}

// orderAnswer gives what the process refused the exit code of bad input.
func orderAnswer(err error) error {
	var answer *ops.AnswerError
	if errors.As(err, &answer) {
		err = fmt.Errorf("backfill: %w", err)
		if answer.Wrong() {
			return badInput(err)
		}
	}
	return err
}

func newBackfillStart(a *app) *cobra.Command {
	var r ops.BackfillRequest
	var person, key string
	var wait, asJSON bool
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Order a back-fill",
		Long: `Start orders a back-fill from the process that listens on the configuration's http.listen, on this machine. Without --wait it returns when the order is
stored; the order survives restarts.

Persons and keys are never arguments, which others can see: --person and --key name a file, or - for standard input. A person is one line. A key has
one line per key column, in the order of supstream catalog show.`,
		Example: `  supstream backfill start --area samtaler --why "case 4711"
  supstream backfill start --bruger kommune.751 --rows-per-second 2000 --wait
  supstream backfill start --person -                              # then type the CPR number
  supstream backfill start --area samtaler --table samtale --key key.txt --wait`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Dataomraade == "" && r.Bruger == "" && person == "" {
				return usage(cmd, "say what to read: --area, --bruger or --person")
			}
			if r.RowsPerSecond < 0 {
				return usage(cmd, "--rows-per-second: want 0 for no limit, or more")
			}
			if person == "-" && key == "-" {
				return usage(cmd, "only one of --person and --key can be standard input")
			}
			client, c, err := a.orderClient()
			if err != nil {
				return err
			}
			if err := a.values(&r, person, key); err != nil {
				return badInput(err)
			}
			if !cmd.Flags().Changed("rows-per-second") {
				r.RowsPerSecond = c.Capture.Backfill.RowsPerSecond
			}
			r.ID, r.By = strings.ToLower(rand.Text()[:10]), userName()
			list, err := client.Start(cmd.Context(), r)
			if err != nil {
				return orderAnswer(err)
			}
			if wait {
				return a.waitForOrder(cmd.Context(), client, r.ID, asJSON)
			}
			return a.printOrders(list, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Dataomraade, "area", "", "`dataomraade`; for a Bruger or a person it may be left out")
	f.StringVar(&r.Table, "table", "", "only this `table` of the area")
	f.StringVar(&r.Bruger, "bruger", "", "only rows of this `bruger` (kommune.751), for it alone")
	f.StringVar(&person, "person", "", "only rows about the person in this `file`, - for standard input")
	f.StringVar(&key, "key", "", "only the row whose key is in this `file`, - for standard input")
	f.IntVar(&r.RowsPerSecond, "rows-per-second", 0, "most `rows` a second, 0 for no limit (default the configuration's)")
	f.StringVar(&r.Why, "why", "", "`reason`, shown with the order; no personal data")
	f.BoolVar(&wait, "wait", false, "wait until it ends, and show how far it is")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// values reads whom and what the order is about.
func (a *app) values(r *ops.BackfillRequest, person, key string) error {
	if person != "" {
		lines, err := a.lines("person", person)
		if err != nil {
			return err
		}
		if len(lines) != 1 {
			return fmt.Errorf("--person: want one line with one person, got %d lines", len(lines))
		}
		r.Person = strings.TrimSpace(lines[0])
		if regexp.MustCompile(`^\d{6}-\d{4}$`).MatchString(r.Person) {
			r.Person = strings.Replace(r.Person, "-", "", 1)
		}
	}
	if key != "" {
		lines, err := a.lines("key", key)
		if err != nil {
			return err
		}
		r.Key = lines
	}
	return nil
}

// lines reads a file or standard input. An error does not repeat the name: it may be the value itself, given by mistake.
func (a *app) lines(flag, name string) ([]string, error) {
	const most = 32 << 10
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--%s: cannot read the file; give the name of a file or - for standard input, never the value itself", flag)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil || len(text) > most {
		return nil, fmt.Errorf("--%s: cannot be read, or is longer than %d bytes", flag, most)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("--%s: nothing was given", flag)
	}
	return lines, nil
}

// userName is who gives the order, as the system knows it.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
