package main

import (
	"context"
	"fmt"
)

// oneTransaction drains one transaction of all rows (W3) into an external
// server and looks at the memory that supstream took.
func (b *bench) oneTransaction(ctx context.Context) error {
	w, err := b.load(ctx, "w3", b.s.rows)
	if err != nil {
		return err
	}
	var runs []figures
	for range b.s.runs {
		f, err := b.supstream(ctx, w, "tcp", "external")
		if err != nil {
			return err
		}
		b.report.run(w.name, "external", "tcp", w.rows, f)
		runs = append(runs, f)
	}
	f := median(runs)
	for _, r := range runs {
		f.Memory = max(f.Memory, r.Memory)
	}
	b.report.line("W3: one transaction of %d rows: %.0f rows/s, most resident memory of the supstream process (VmHWM, worst run) %d MiB",
		b.s.rows, float64(w.rows)/f.Seconds, f.Memory>>20)
	b.report.json(map[string]any{"workload": "w3", "rows": w.rows, "median": f, "peak_bytes": f.Memory})
	if f.Memory > b.s.maxMemory<<20 {
		return fmt.Errorf("supstream took %d MiB, more than %d", f.Memory>>20, b.s.maxMemory)
	}
	return b.unload(ctx, w)
}
