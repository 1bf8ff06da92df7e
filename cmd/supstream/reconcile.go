package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"supstream/catalog"
	"supstream/ops"
	"supstream/projections"
)

func newReconcile(a *app) *cobra.Command {
	var o reconcileOrder
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the mirror with what receivers have, row by row",
		Long: `Reconcile asks the running process to read the tables of the mirror and to compare them, for every Bruger, with all events so far. Nothing stops
meanwhile, and changes that are on their way are no differences. Rows that differ are named by Bruger, table and the subject of their events,
never by a value.

With --repair the process also publishes what differs: the row as it is (read), or that it is gone (delete) or has another owner (scope-out), each
marked as a repair. Then it compares again.

Exit code 0: no difference, or all were repaired. 3: there are differences. 1: something could not be compared.`,
		Example: "  supstream reconcile\n  supstream reconcile --area samtaler --bruger kommune.751 --json\n  supstream reconcile --area samtaler --repair",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			if c.HTTP.Listen == "" {
				return badInput(errors.New("reconcile: http.listen is empty, so nobody can be asked: set it to host:port"))
			}
			cat, err := a.catalog(c.Catalog)
			if err != nil {
				return err
			}
			if err := unknownIn(cat, o.Areas, o.Tables); err != nil {
				return badInput(err)
			}
			for _, b := range o.Brugere {
				if _, err := catalog.ParseBruger(b); err != nil {
					return badInput(err)
				}
			}
			token, err := ordersToken(c.Keys)
			if err != nil {
				return err
			}
			results := []projections.Comparison{}
			if err := ops.Ask(cmd.Context(), c.HTTP.Listen, token, orderReconcile, o, &results); err != nil {
				return fmt.Errorf("reconcile: %w", err)
			}
			if asJSON {
				err = a.printJSON(results)
			} else {
				err = a.printComparisons(results)
			}
			if err != nil {
				return err
			}
			return verdict(results)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Areas, "area", nil, "only these dataomraader, by `slug`")
	flags.StringSliceVar(&o.Tables, "table", nil, "only these tables, by `slug`")
	flags.StringSliceVar(&o.Brugere, "bruger", nil, "only these authorities: `kommune.751`, akasse.908, alle")
	flags.IntVar(&o.List, "list", 20, "list at most so many differences per dataomraade")
	flags.BoolVar(&o.Repair, "repair", false, "publish what differs, then compare again")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// verdict is what the exit code says.
func verdict(results []projections.Comparison) error {
	var failed, areas, differences int64
	for i := range results {
		if results[i].Error != "" {
			failed++
		}
		if n := results[i].Differences(); n > 0 {
			areas++
			differences += n
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("reconcile: %d of %d dataomraader could not be compared", failed, len(results))
	case differences > 0:
		return findings(fmt.Errorf("reconcile: %d differences in %d dataomraader", differences, areas))
	}
	return nil
}

func (a *app) printComparisons(results []projections.Comparison) error {
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "DATAOMRAADE\tROWS\tMISSING\tEXTRA\tDIFFERS\tCOUNTED\tREPAIRED\tSECONDS\tERROR\n")
	for i := range results {
		c := &results[i]
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%s\n", c.Dataomraade, c.Rows, c.Kinds[projections.Missing], c.Kinds[projections.Extra],
			c.Kinds[projections.Differs], c.Kinds[projections.Counted], c.Repaired, c.Seconds, c.Error)
	}
	heading := "\nDATAOMRAADE\tTABLE\tBRUGER\tKIND\tKEY\n"
	for i := range results {
		for _, d := range results[i].List {
			fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\t%s\n", heading, results[i].Dataomraade, d.Table, d.Bruger, d.Kind, d.Key)
			heading = ""
		}
	}
	return t.Flush()
}
