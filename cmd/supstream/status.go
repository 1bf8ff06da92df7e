package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"supstream/ops"
)

func newStatus(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Ask the running supstream how it is doing",
		Long: `Status asks the process that listens on the configuration's http.listen. Exit code 0: it makes progress. 3: it runs, but is not ready; the checks
say why. 1: nobody answered.`,
		Example: "  supstream status\n  supstream status --json | jq .areas",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			if c.HTTP.Listen == "" {
				return badInput(errors.New("status: http.listen is empty, so nobody can be asked: set it to host:port"))
			}
			st, err := ops.Fetch(cmd.Context(), c.HTTP.Listen)
			if err != nil {
				return err
			}
			if asJSON {
				err = a.printJSON(st)
			} else {
				err = st.WriteText(a.stdout)
			}
			if err == nil && !st.Ready {
				err = findings(fmt.Errorf("status: supstream is not ready: %s", unmet(st)))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// unmet names the checks that do not hold.
func unmet(st *ops.Status) string {
	var list []string
	for _, c := range st.Checks {
		if !c.OK {
			list = append(list, c.Name)
		}
	}
	if len(list) == 0 {
		return "its checks have not been asked yet"
	}
	return strings.Join(list, ", ")
}
