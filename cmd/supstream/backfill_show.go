package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"supstream/capture"
	"supstream/ops"
)

func newBackfillList(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List orders, oldest first; ended ones for up to 30 days",
		Args:  arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, _, err := a.orderClient()
			if err != nil {
				return err
			}
			list, err := client.List(cmd.Context())
			if err != nil {
				return orderAnswer(err)
			}
			return a.printOrders(list, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newBackfillShow(a *app) *cobra.Command {
	var asJSON, wait bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show an order",
		Args:  arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, _, err := a.orderClient()
			if err != nil {
				return err
			}
			if wait {
				return a.waitForOrder(cmd.Context(), client, args[0], asJSON)
			}
			list, err := parts(cmd.Context(), client, args[0])
			if err != nil {
				return orderAnswer(err)
			}
			return a.printOrders(list, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it ends, and show how far it is")
	return cmd
}

// parts is an order in every area it is about.
func parts(ctx context.Context, client *ops.Client, id string) ([]ops.Backfill, error) {
	all, err := client.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []ops.Backfill
	for _, b := range all {
		if b.ID == id {
			list = append(list, b)
		}
	}
	if len(list) == 0 {
		return nil, &ops.AnswerError{Code: 404, Text: capture.ErrNoOrder.Error()}
	}
	return list, nil
}

// printOrders writes a table, and below it what is to be read in full.
func (a *app) printOrders(list []ops.Backfill, asJSON bool) error {
	if asJSON {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(a.stdout, "there are no orders")
		return err
	}
	t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "ID\tDATAOMRAADE\tSCOPE\tSTATE\tROWS\tOF ABOUT\tPER SECOND\tBY\tCREATED\tWHY\n")
	for _, b := range list {
		about, limit := "-", "no limit"
		if b.Estimate > 0 {
			about = thousands(b.Estimate)
		}
		if b.RowsPerSecond > 0 {
			limit = thousands(int64(b.RowsPerSecond))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.ID, b.Dataomraade, b.Scope, b.State, thousands(b.Rows), about, limit,
			b.By, b.Created.Format(time.RFC3339), b.Why)
	}
	for _, b := range list {
		if b.Problem != "" {
			fmt.Fprintf(t, "%s %s: %s\n", b.ID, b.Dataomraade, b.Problem)
		}
	}
	return t.Flush()
}

const (
	waitEvery    = 250 * time.Millisecond
	waitPatience = time.Minute // without an answer: the process may be starting again
)

// waitForOrder shows how far an order is until it is over in every area. An order that failed or was cancelled is an error.
func (a *app) waitForOrder(ctx context.Context, client *ops.Client, id string, asJSON bool) error {
	bar := newProgress(a.stderr, "order "+id, "rows")
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	answered := time.Now()
	for {
		list, err := parts(ctx, client, id)
		switch {
		case ctx.Err() != nil:
			bar.finish()
			return fmt.Errorf("backfill: stopped waiting; order %s goes on: see `supstream backfill show %s`", id, id)
		case err != nil && (wrong(err) || time.Since(answered) > waitPatience):
			bar.finish()
			return orderAnswer(err)
		case err == nil:
			answered = time.Now()
			rows, of, over := sum(list)
			bar.set(rows, of)
			if over {
				bar.finish()
				return cmp.Or(a.printOrders(list, asJSON), unsuccessful(list))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func wrong(err error) bool {
	var answer *ops.AnswerError
	return errors.As(err, &answer) && answer.Wrong()
}

// sum adds the parts of an order up. The rows of all are known when those of each are.
func sum(list []ops.Backfill) (rows, of int64, over bool) {
	over, known := true, true
	for _, b := range list {
		rows, of = rows+b.Rows, of+b.Estimate
		known = known && b.Estimate > 0
		over = over && b.Over()
	}
	if !known {
		of = 0
	}
	return rows, of, over
}

func unsuccessful(list []ops.Backfill) error {
	var failed []string
	for _, b := range list {
		if b.State != string(capture.OrderDone) {
			failed = append(failed, b.Dataomraade+" "+b.State)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("backfill: order %s did not end well: %s", list[0].ID, strings.Join(failed, ", "))
}
