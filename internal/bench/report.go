package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints figures as they come and the tables at the end.
type report struct {
	file   *os.File // may be nil
	rows   []string
	others []string
	begun  time.Time

	foreign, available float64 // processor seconds during runs: used by other processes, and there were
}

func newReport(path string) (*report, error) {
	r := &report{begun: time.Now()}
	if path == "" {
		return r, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	r.file = f
	return r, err
}

func (r *report) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.0f s  %s\n", time.Since(r.begun).Seconds(), fmt.Sprintf(format, args...))
}

// json adds a line to the file.
func (r *report) json(v map[string]any) {
	if r.file == nil {
		return
	}
	v["time"] = time.Now().UTC().Format(time.RFC3339)
	if err := json.NewEncoder(r.file).Encode(v); err != nil {
		r.say("%s: %v", r.file.Name(), err)
	}
}

// run notes one run.
func (r *report) run(workload, what, conn string, rows int, f figures) {
	r.say("%s %s %s: %.0f rows/s; CPU seconds: walsender %.1f, supstream %.1f, server %.1f, machine %.1f of %.1f; %d MiB", workload, what, conn,
		float64(rows)/f.Seconds, f.Walsender, f.Supstream, f.Server, f.Machine, f.Seconds*float64(runtime.NumCPU()), f.Memory>>20)
	r.note(f)
	r.json(map[string]any{"workload": workload, "what": what, "connection": conn, "rows": rows, "run": f})
}

// note remembers how much of the machine was used by what is not measured.
func (r *report) note(f figures) {
	ours := f.Walsender + f.Supstream + f.Server
	r.foreign += max(0, f.Machine-ours)
	r.available += f.Seconds * float64(runtime.NumCPU())
}

// row adds a median to the table.
func (r *report) row(workload, what, conn string, rows int, f figures, ratio float64) {
	million := 1e6 / float64(rows)
	cells := []string{workload, what, conn, fmt.Sprintf("%.0f", float64(rows)/f.Seconds), "", fmt.Sprintf("%.1f", f.Walsender*million), "", "", "", ""}
	if ratio != 0 {
		cells[4] = fmt.Sprintf("%.2f", ratio)
		cells[6] = fmt.Sprintf("%.1f", f.Supstream*million)
		cells[8] = fmt.Sprint(f.Memory >> 20)
		cells[9] = fmt.Sprintf("%.0f", float64(f.Stored)/float64(rows))
		if what == "external" {
			cells[7] = fmt.Sprintf("%.1f", f.Server*million)
		}
	}
	r.rows = append(r.rows, strings.Join(cells, "\t"))
	r.json(map[string]any{"workload": workload, "what": what, "connection": conn, "rows": rows, "median": f, "rows_per_second": float64(rows) / f.Seconds, "ratio": ratio})
}

// line adds a figure that is not of the table.
func (r *report) line(format string, args ...any) {
	r.others = append(r.others, fmt.Sprintf(format, args...))
	r.say(format, args...)
}

func (r *report) end() error {
	fmt.Printf("\n%d processors, %s/%s, %s. Medians.\n", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	fmt.Println("ratio: rows/s of supstream, from Postgres to acknowledged (synced) in JetStream, to those of pg_recvlogical to nowhere over the same kind of connection.")
	fmt.Println("With the embedded server, supstream's CPU and memory are those of both.")
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t\tPostgres\t\t\tCPU s per million rows of\t\t\tpeak MiB\tstored\t")
	fmt.Fprintln(t, "workload\tNATS server\tover\trows/s\tratio\twalsender\tsupstream\tserver\tsupstream\tbytes/row\t")
	for _, row := range r.rows {
		fmt.Fprintln(t, row+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.available > 0 {
		fmt.Printf("Other processes, pg_recvlogical among them, used %.0f %% of the machine meanwhile; above 20 %%, measure again when it is quiet.\n", 100*r.foreign/r.available)
	}
	for _, l := range r.others {
		fmt.Println(l)
	}
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
