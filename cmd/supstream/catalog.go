package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"supstream/catalog"
)

func newCatalog(a *app) *cobra.Command {
	var folder string
	cmd := group("catalog", "Look at the catalogue: what the data are and who owns them",
		newCatalogCheck(a, &folder), newCatalogShow(a, &folder), newCatalogSQL(a, &folder))
	cmd.PersistentFlags().StringVar(&folder, "catalog", "", "`folder` of a catalogue (default: the configuration's, else the shipped one)")
	return cmd
}

// chosenCatalog is the one of the flag, else of the configuration, else the shipped one.
func (a *app) chosenCatalog(folder string) (*catalog.Catalog, error) {
	if folder == "" {
		c, err := a.config()
		if err != nil {
			return nil, err
		}
		folder = c.Catalog
	}
	return a.catalog(folder)
}

func newCatalogCheck(a *app, folder *string) *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Check a catalogue; errors name file and line",
		Example: "  supstream catalog check --catalog ./catalogue",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.chosenCatalog(*folder)
			if err != nil {
				return err
			}
			areas, open, tables, columns := 0, 0, 0, 0
			for _, d := range c.Dataomraader() {
				areas++
				if d.Open() {
					open++
				}
				for _, t := range d.Tables {
					tables++
					columns += len(t.Columns)
				}
			}
			_, err = fmt.Fprintf(a.stdout, "catalogue ok: %d dataomraader (%d open), %d tables, %d columns, %d kommuner, %d a-kasser, version %s\n",
				areas, open, tables, columns, len(c.Brugere(catalog.Kommune)), len(c.Brugere(catalog.Akasse)), c.Version())
			return err
		},
	}
}

func newCatalogShow(a *app, folder *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show [DATAOMRAADE]",
		Short:   "List the dataomraader, or the tables and columns of one",
		Example: "  supstream catalog show\n  supstream catalog show samtale",
		Args:    arguments(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.chosenCatalog(*folder)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if asJSON {
					return a.printJSON(describeAll(c))
				}
				return a.listAreas(c)
			}
			d, ok := c.Dataomraade(args[0])
			if !ok {
				return badInput(fmt.Errorf("no dataomraade %q in the catalogue; supstream catalog show lists them", args[0]))
			}
			if asJSON {
				return a.printJSON(describe(d, true))
			}
			return a.showArea(d)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCatalogSQL(a *app, folder *string) *cobra.Command {
	return &cobra.Command{
		Use:     "sql",
		Short:   "Print the CREATE statements of a mirror that fits the catalogue",
		Example: "  supstream catalog sql | psql mirror",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.chosenCatalog(*folder)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.stdout, catalog.DDL(c))
			return err
		},
	}
}

// areaView is a dataomraade as the commands print it.
type areaView struct {
	Slug        string      `json:"slug"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Version     int         `json:"version"`
	State       string      `json:"state"`
	Open        bool        `json:"open"`
	Audience    []string    `json:"audience"`
	Sensitivity string      `json:"sensitivity"`
	Frequency   string      `json:"frequency"`
	Retention   string      `json:"retention"`
	LegalBasis  string      `json:"legal_basis"`
	Tables      []tableView `json:"tables,omitempty"`
}

type tableView struct {
	Schema      string       `json:"schema"`
	Name        string       `json:"name"`
	Slug        string       `json:"slug"`
	Description string       `json:"description"`
	Columns     []columnView `json:"columns"`
}

type columnView struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Key         bool   `json:"key"`
	Nullable    bool   `json:"nullable"`
	FreeText    bool   `json:"free_text"`
	Description string `json:"description"`
}

func describeAll(c *catalog.Catalog) []areaView {
	out := []areaView{}
	for _, d := range c.Dataomraader() {
		out = append(out, describe(d, false))
	}
	return out
}

func describe(d *catalog.Dataomraade, tables bool) areaView {
	v := areaView{Slug: d.Slug, Name: d.Name, Description: d.Description, Version: d.Version, State: d.State.String(), Open: d.Open(),
		Audience: []string{}, Sensitivity: d.Sensitivity.String(), Frequency: d.Frequency.String(), Retention: days(d.Retention), LegalBasis: d.LegalBasis}
	for _, axis := range d.Audience {
		v.Audience = append(v.Audience, axis.String())
	}
	if !tables {
		return v
	}
	for _, t := range d.Tables {
		tv := tableView{Schema: t.Schema, Name: t.Name, Slug: t.Slug, Description: t.Description}
		for _, c := range t.Columns {
			tv.Columns = append(tv.Columns, columnView{Name: c.Name, Type: c.Type, Nullable: c.Nullable, FreeText: c.FreeText, Description: c.Description})
		}
		for _, i := range t.Key {
			tv.Columns[i].Key = true
		}
		v.Tables = append(v.Tables, tv)
	}
	return v
}

// days writes a duration in days when it is a whole number of them, as catalogue files do.
func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	return d.String()
}

func (a *app) listAreas(c *catalog.Catalog) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DATAOMRAADE\tSTATE\tAUDIENCE\tSENSITIVITY\tFREQUENCY\tTABLES\tNAME")
	for _, d := range c.Dataomraader() {
		v := describe(d, false)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", v.Slug, v.State, strings.Join(v.Audience, ","), v.Sensitivity, v.Frequency, len(d.Tables), v.Name)
	}
	return w.Flush()
}

func (a *app) showArea(d *catalog.Dataomraade) error {
	v := describe(d, true)
	fmt.Fprintf(a.stdout, "%s: %s\n%s\n\nstate %s, version %d, audience %s, sensitivity %s\nfrequency %s, events kept for %s\nlegal basis: %s\n",
		v.Slug, v.Name, v.Description, v.State, v.Version, strings.Join(v.Audience, " "), v.Sensitivity, v.Frequency, v.Retention, v.LegalBasis)
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, t := range v.Tables {
		fmt.Fprintf(w, "\n%s.%s: %s\n", t.Schema, t.Name, t.Description)
		for _, c := range t.Columns {
			marks := []string{}
			for _, m := range []struct {
				set  bool
				text string
			}{{c.Key, "key"}, {c.Nullable, "null"}, {c.FreeText, "free text"}} {
				if m.set {
					marks = append(marks, m.text)
				}
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", c.Name, c.Type, strings.Join(marks, ", "), c.Description)
		}
	}
	return w.Flush()
}
