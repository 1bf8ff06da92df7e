package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"supstream/capture"
)

// newBackfillChange is pause, resume and cancel.
func newBackfillChange(a *app, change, short string) *cobra.Command {
	return &cobra.Command{
		Use:     change + " ID",
		Short:   short,
		Example: "  supstream backfill " + change + " m3kq7xw2ab",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeOrder(cmd, args[0], capture.OrderChange(change), 0)
		},
	}
}

func newBackfillThrottle(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "throttle ID ROWS",
		Short:   "Change how many rows an order reads a second; 0 for no limit",
		Example: "  supstream backfill throttle m3kq7xw2ab 500",
		Args:    arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 0 {
				return usage(cmd, "want a number of rows a second, 0 for no limit")
			}
			return a.changeOrder(cmd, args[0], capture.ThrottleOrder, n)
		},
	}
}

func (a *app) changeOrder(cmd *cobra.Command, id string, change capture.OrderChange, perSecond int) error {
	client, _, err := a.orderClient()
	if err != nil {
		return err
	}
	list, err := client.Change(cmd.Context(), id, change, perSecond)
	if err != nil {
		return orderAnswer(err)
	}
	return a.printOrders(list, false)
}
