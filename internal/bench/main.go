// Command bench measures supstream on this machine, beside what Postgres
// itself can do here: `make bench`, or `go run ./internal/bench -quick`.
//
// Every figure is the median of several runs. One run drains a backlog that
// was there before it: a slot is made before the load and copied for each
// run, so that all runs read the same changes. What is compared is measured
// in turns, over the same kind of connection (TCP or Unix socket).
//
// supstream runs as a process of its own, and so does the NATS server unless
// it is the embedded one, so that memory and CPU time can be told apart. Both
// are this program, started again with a hidden first argument.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// settings say what is measured.
type settings struct {
	data      string // folder with schema.sql and catalog
	rows      int    // of W1 and W3; W2 has half as many updates
	runs      int
	parts     []string
	conns     []string
	servers   []string
	rate      int // rows/s while latency is measured
	seconds   int // how long
	out       string
	batch     int
	inflight  int
	bytes     int
	s2        bool
	gogc      int
	profile   string // prefix of CPU profiles of supstream
	maxMemory int64  // MiB
}

var allParts = []string{"w1", "w2", "w3", "latency", "files"}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case childCapture:
			os.Exit(exit(captureChild()))
		case childServer:
			os.Exit(exit(serverChild()))
		}
	}
	os.Exit(exit(run()))
}

func exit(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

func parse(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := f.Bool("quick", false, "fewer rows and one run of each: shows that everything works, not how fast it is")
	f.StringVar(&s.data, "data", "testdata/bench", "`folder` with schema.sql and the catalogue")
	f.IntVar(&s.rows, "rows", 1_000_000, "rows of W1 and W3; W2 has half as many updates")
	f.IntVar(&s.runs, "runs", 3, "runs of each kind; the median counts")
	parts := f.String("parts", strings.Join(allParts, ","), "what to measure")
	conns := f.String("conn", "tcp,unix", "connections to Postgres: tcp, unix")
	servers := f.String("nats", "embedded,external", "NATS servers: embedded, external")
	f.IntVar(&s.rate, "rate", 1000, "rows per second while latency is measured")
	f.IntVar(&s.seconds, "seconds", 20, "seconds for which latency is measured")
	f.StringVar(&s.out, "out", "bench-data/bench.jsonl", "`file` that all figures are added to as JSON lines; empty: none")
	f.IntVar(&s.batch, "batch", 10000, "most messages in a batch")
	f.IntVar(&s.inflight, "inflight", 0, "batches in flight; 0: the default")
	f.IntVar(&s.bytes, "batch-bytes", 0, "most bytes in a batch; 0: the default")
	f.BoolVar(&s.s2, "s2", true, "streams are compressed, as they are in production")
	f.IntVar(&s.gogc, "gogc", 0, "GOGC of supstream; 0: as it is")
	f.StringVar(&s.profile, "cpuprofile", "", "`prefix` of CPU profiles of the supstream process")
	f.Int64Var(&s.maxMemory, "max-memory", 256, "MiB that supstream may use for W3")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if *quick {
		s.rows, s.runs, s.seconds = min(s.rows, 200_000), 1, min(s.seconds, 5)
	}
	s.parts, s.conns, s.servers = strings.Split(*parts, ","), strings.Split(*conns, ","), strings.Split(*servers, ",")
	for _, p := range s.parts {
		if !slices.Contains(allParts, p) {
			return s, fmt.Errorf("unknown part %q: want some of %s", p, strings.Join(allParts, ","))
		}
	}
	return s, nil
}

func run() error {
	s, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	for _, part := range s.parts {
		switch part {
		case "w1", "w2":
			err = b.throughput(ctx, part)
		case "w3":
			err = b.oneTransaction(ctx)
		case "latency":
			err = b.latency(ctx)
		case "files":
			err = b.files(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return b.report.end()
}
