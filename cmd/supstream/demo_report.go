package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"supstream/catalog"
)

// print shows the proof on the screen.
func (p *proof) print(d *demo) error {
	d.screen.line("\nEvery vendor's files, checked and loaded into an empty database as the vendor would:\n")
	w := tabwriter.NewWriter(d.screen.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  VENDOR\tBRUGERE\tCHAINS\tFULL LOADS\tDELTAS\tROWS IN FILES\tSIZE\tSIGNATURES, CHAINS, DIGESTS")
	for _, v := range p.vendors {
		files, rows, size := 0, int64(0), 0.0
		for _, r := range v.reports {
			files, rows, size = files+r.Files, rows+r.Rows, size+float64(r.Bytes)
		}
		state := "right"
		switch {
		case len(v.problems) > 0:
			state = "WRONG"
		case len(v.chains) == 0:
			state = "no grant, no file"
		}
		fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", v.ID, len(v.brugere()), len(v.reports), v.full, files-v.full, thousands(rows), mebibytes(size), state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	d.screen.line("\nRows per table and Bruger, against SQL on the mirror:")
	for _, v := range p.vendors {
		if len(v.tables) == 0 {
			continue
		}
		fmt.Fprintf(d.screen.w, "\n  %s – %s\n", v.ID, v.Name)
		if err := v.printTables(d); err != nil {
			return err
		}
	}
	p.printAbsent(d)
	p.printVerdict(d)
	return nil
}

// brugere are those that the vendor has grants for, in order.
func (v *vendorProof) brugere() []catalog.Bruger {
	var out []catalog.Bruger
	for _, c := range v.chains {
		if !slices.Contains(out, c.Bruger) {
			out = append(out, c.Bruger)
		}
	}
	return out
}

// printTables shows one line per table with one column per Bruger.
func (v *vendorProof) printTables(d *demo) error {
	type line struct {
		rows        map[catalog.Bruger]int
		differences int
	}
	var names []string
	lines := map[string]*line{}
	for _, c := range v.tables {
		name := c.table.Area.Slug + " / " + c.table.Slug
		if lines[name] == nil {
			names = append(names, name)
			lines[name] = &line{rows: map[catalog.Bruger]int{}}
		}
		lines[name].rows[c.bruger] = c.rows
		lines[name].differences += c.differences()
	}
	slices.Sort(names)
	w := tabwriter.NewWriter(d.screen.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	cells := []string{}
	for _, b := range v.brugere() {
		cells = append(cells, strings.ToUpper(b.String()))
	}
	width := len("DATAOMRAADE / TABLE")
	for _, n := range names {
		width = max(width, len(n))
	}
	fmt.Fprintf(w, "  %-*s\t%s\tDIFFERENCES\t\n", width, "DATAOMRAADE / TABLE", strings.Join(cells, "\t"))
	for _, n := range names {
		cells = cells[:0]
		for _, b := range v.brugere() {
			if rows, ok := lines[n].rows[b]; ok {
				cells = append(cells, thousands(int64(rows)))
			} else {
				cells = append(cells, "-")
			}
		}
		fmt.Fprintf(w, "  %-*s\t%s\t%d\t\n", width, n, strings.Join(cells, "\t"), lines[n].differences)
	}
	return w.Flush()
}

// printAbsent shows what must not be there.
func (p *proof) printAbsent(d *demo) {
	d.screen.line("\nWhat must not be there:")
	d.screen.line("  drafts, closed areas, unlisted columns, a third party's table: the text that marks them stands in %s rows of the mirror and in %d of",
		thousands(p.excluded), len(p.files.hits))
	d.screen.line("  %s files outside Postgres (%s unpacked), of which %s are JetStream's; a text that must be there was found in %s of them",
		thousands(int64(p.files.files)), mebibytes(float64(p.files.bytes)), thousands(int64(p.store.files)), thousands(int64(p.files.control)))
	for _, v := range p.vendors {
		if len(v.chains) == 0 {
			state := "no folder"
			if len(v.problems) > 0 {
				state = "A FOLDER"
			}
			d.screen.line("  %s (%s): %s", v.ID, d.whyNot(v.ID), state)
		}
	}
	d.screen.line("  files of nobody in the outbox: %d", len(p.foreign))
}

// printVerdict says in one sentence whether all holds. What does not is in the error.
func (p *proof) printVerdict(d *demo) {
	vendors, tables, differences := 0, 0, 0
	for _, v := range p.vendors {
		if len(v.tables) > 0 {
			vendors++
		}
		tables += len(v.tables)
		for _, c := range v.tables {
			differences += c.differences()
		}
	}
	word := "All holds"
	if p.verdict() != nil {
		word = "IT DOES NOT HOLD"
	}
	d.screen.line("\n%s: %d vendors, %d tables of a Bruger, %s rows, %s differences; supstream was killed %s on the way (%.1f s; every table is listed in %s).",
		word, vendors, tables, thousands(int64(p.rows())), thousands(int64(differences)), times(d.kills), p.took.Seconds(), d.place.show(demoComparison))
}

// everyTable lists every comparison, one a line, for spreadsheets.
func (p *proof) everyTable() string {
	var b strings.Builder
	b.WriteString("vendor\tbruger\tdataomraade\ttable\trows\tmissing\tsurplus\tdifferent\n")
	for _, v := range p.vendors {
		for _, c := range v.tables {
			fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", c.vendor, c.bruger, c.table.Area.Slug, c.table.Slug, c.rows, c.missing, c.surplus, c.different)
		}
	}
	return b.String()
}
