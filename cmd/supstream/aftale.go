package main

import (
	"cmp"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"supstream/agreements"
	"supstream/catalog"
)

func newAftale(a *app) *cobra.Command {
	var path string
	cmd := group("aftale", "Look at the agreements: who may have what, and when",
		newAftaleCheck(a, &path), newAftaleShow(a, &path), newAftaleAccess(a, &path))
	cmd.PersistentFlags().StringVar(&path, "agreements", "", "`file or folder` with agreements (default: the configuration's)")
	return cmd
}

// chosenAgreements is the register of the flag or of the configuration, checked against the configuration's catalogue.
func (a *app) chosenAgreements(path string) (*agreements.Register, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if path = cmp.Or(path, c.Agreements); path == "" {
		return nil, badInput(errors.New("no agreements: give --agreements, or set agreements in the configuration"))
	}
	cat, err := a.catalog(c.Catalog)
	if err != nil {
		return nil, err
	}
	return a.agreements(path, cat)
}

func newAftaleCheck(a *app, path *string) *cobra.Command {
	var when instant
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Check the agreements; errors name file and line",
		Example: "  supstream aftale check --agreements ./aftaler",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			r, err := a.chosenAgreements(*path)
			if err != nil {
				return err
			}
			at := when.orNow()
			next := "no change is known"
			if t := r.Next(at); !t.IsZero() {
				next = "next change " + t.Format(time.RFC3339)
			}
			_, err = fmt.Fprintf(a.stdout, "agreements ok: %d opgaveloesere, %d grants in force, %s\n", len(r.Opgaveloesere()), len(r.Grants(at)), next)
			return err
		},
	}
	when.flag(cmd)
	return cmd
}

// grantView is a grant as the commands print it.
type grantView struct {
	Opgaveloeser string     `json:"opgaveloeser"`
	Bruger       string     `json:"bruger"`
	Dataomraade  string     `json:"dataomraade"`
	From         time.Time  `json:"from"`
	To           *time.Time `json:"to"` // first instant without access; null: no end is known
}

func newAftaleShow(a *app, path *string) *cobra.Command {
	var when instant
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show [OPGAVELOESER]",
		Short:   "List the grants in force, of one Opgaveloeser or of all",
		Example: "  supstream aftale show\n  supstream aftale show nordlys --at 2026-07-01",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.chosenAgreements(*path)
			if err != nil {
				return err
			}
			if len(args) == 1 && !knows(r, args[0]) {
				return badInput(fmt.Errorf("no opgaveloeser %q in the agreements", args[0]))
			}
			grants := []grantView{}
			for _, g := range r.Grants(when.orNow()) {
				if len(args) == 1 && g.Opgaveloeser != args[0] {
					continue
				}
				v := grantView{g.Opgaveloeser, g.Bruger.String(), g.Dataomraade, g.From, nil}
				if !g.To.IsZero() {
					v.To = &g.To
				}
				grants = append(grants, v)
			}
			if asJSON {
				return a.printJSON(grants)
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "OPGAVELOESER\tBRUGER\tDATAOMRAADE\tFROM\tTO")
			for _, g := range grants {
				to := "-"
				if g.To != nil {
					to = g.To.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", g.Opgaveloeser, g.Bruger, g.Dataomraade, g.From.Format(time.RFC3339), to)
			}
			return w.Flush()
		},
	}
	when.flag(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newAftaleAccess(a *app, path *string) *cobra.Command {
	var when instant
	cmd := &cobra.Command{
		Use:     "access OPGAVELOESER BRUGER DATAOMRAADE",
		Short:   "Say whether there is access, and if not, what is missing",
		Long:    "Say whether there is access, and if not, which agreement is missing, not in force, or too narrow. Exit code 3 means no access.",
		Example: "  supstream aftale access nordlys kommune.461 samtale",
		Args:    arguments(cobra.ExactArgs(3)),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.chosenAgreements(*path)
			if err != nil {
				return err
			}
			bruger, err := catalog.ParseBruger(args[1])
			if err != nil {
				return badInput(err)
			}
			if err := r.Access(when.orNow(), args[0], bruger, args[2]); err != nil {
				return findings(err)
			}
			_, err = fmt.Fprintf(a.stdout, "access for %s to %s of %s\n", args[0], args[2], bruger)
			return err
		},
	}
	when.flag(cmd)
	return cmd
}

func knows(r *agreements.Register, id string) bool {
	for _, o := range r.Opgaveloesere() {
		if o.ID == id {
			return true
		}
	}
	return false
}

// instant is the value of --at.
type instant struct{ time.Time }

func (i *instant) flag(cmd *cobra.Command) {
	cmd.Flags().Var(i, "at", "`time` to look at: a date or an instant (default: now)")
}

func (i *instant) orNow() time.Time {
	if i.IsZero() {
		return time.Now()
	}
	return i.Time
}

// Set reads a time as the agreements write it.
func (i *instant) Set(text string) (err error) {
	i.Time, err = agreements.ParseTime(text)
	return err
}

// Type names the kind of value in the help.
func (i *instant) Type() string { return "time" }

// String is empty for now.
func (i *instant) String() string {
	if i.IsZero() {
		return ""
	}
	return i.Format(time.RFC3339)
}
