// Command supstream turns a Postgres mirror of DFDG into an ordered event log on NATS JetStream and into delta files for the Opgaveloesere
// that have agreements. docs/CLI.md describes every command, docs/CONFIG.md the configuration file.
//
// main only dispatches: each command is a file of its own, and config.go is the only place that reads configuration and environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitOK       = 0
	exitFailure  = 1 // it was tried and did not work
	exitInput    = 2 // wrong usage, or a file given to us is wrong: nothing was tried
	exitFindings = 3 // it worked and found something: a check that fails, a comparison that does not hold
)

// app is what a command gets from the outside world.
type app struct {
	stdout, stderr io.Writer
	getenv         func(string) string

	// flags of every command
	configFile, logLevel, logFormat string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks to stop, a second one kills
	a := &app{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	os.Exit(a.execute(ctx, os.Args[1:]))
}

// execute runs one command line and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(a.stderr, "supstream: %v\n", err)
	var coded codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitFailure
}

// newRoot is the tree of commands. A new command is one file and one line here.
func newRoot(a *app) *cobra.Command {
	root := group("supstream", "DFDG changes from Postgres to NATS JetStream and to delta files",
		newAftale(a),
		newCatalog(a),
		newCheck(a),
		newConfig(a),
		newDemo(a),
		newReconcile(a),
		newRun(a),
		newStatus(a),
		newVerify(a),
		newVersion(a),
	)
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%v", err) })
	flags := root.PersistentFlags()
	flags.StringVarP(&a.configFile, "config", "c", "", "configuration `file` (default $SUPSTREAM_CONFIG, else ./supstream.yaml if it is there)")
	flags.StringVar(&a.logLevel, "log-level", "", "debug, info, warn or error, over the configuration")
	flags.StringVar(&a.logFormat, "log-format", "", "text or json, over the configuration")
	return root
}

// group is a command that only holds others. Without one of them it is wrong usage, so a mistyped script does not exit 0.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(cmd, "%s needs a command", cmd.CommandPath())
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usage(cmd, "unknown command %q of %s%s", args[0], cmd.CommandPath(), hint)
	}}
	g.SuggestionsMinimumDistance = 2
	g.AddCommand(commands...)
	return g
}

// arguments makes a wrong number of arguments wrong usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage(cmd, "%v", err)
		}
		return nil
	}
}

// codedError is an error that decides the exit code.
type codedError struct {
	code int
	error
}

func (e codedError) Unwrap() error { return e.error }

// usage is wrong use of a command, with the way to the right one.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return badInput(fmt.Errorf(format+"\nrun %s --help", append(args, cmd.CommandPath())...))
}

// badInput marks an error in what the user gave: exit code 2.
func badInput(err error) error {
	if err == nil {
		return nil
	}
	return codedError{exitInput, err}
}

// findings marks a check that did its work and does not hold: exit code 3.
func findings(err error) error {
	if err == nil {
		return nil
	}
	return codedError{exitFindings, err}
}
