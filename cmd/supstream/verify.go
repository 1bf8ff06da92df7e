package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"supstream/sinks"
)

func newVerify(a *app) *cobra.Command {
	var keys []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check fetched files: signatures, chain, digests, counts",
		Long: `Verify checks every chain of files below DIR: signatures, names, sequence, links to the file before, sizes, digests, counts and rows.
DIR is an outbox, what was fetched from one, or any folder within. Exit code 3 means that something is wrong.

Signatures are checked with the keys given by --key. Without it the keys that lie beside the files are taken: that shows damage, not forgery.`,
		Example: "  supstream verify ./outbox\n  supstream verify --key star.pem /data/fetched",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			if info, err := os.Stat(dir); err != nil {
				return badInput(fmt.Errorf("verify: %w", err))
			} else if !info.IsDir() {
				return badInput(fmt.Errorf("verify: %s is a file; give the folder it lies in", dir))
			}
			if len(keys) == 0 {
				var err error
				if keys, err = keysBeside(dir); err != nil {
					return badInput(err)
				}
				fmt.Fprintln(a.stderr, "supstream: keys are those beside the files, which shows damage, not forgery; give --key for both")
			}
			public, err := sinks.ReadPublicKeys(keys...)
			if err != nil {
				return badInput(err)
			}
			reader := sinks.Reader{Keys: public}
			reports, err := reader.Verify(cmd.Context(), dir)
			if err != nil {
				return err
			}
			views, wrong := chainViews(dir, reports)
			if asJSON {
				err = a.printJSON(views)
			} else {
				err = a.printChains(views)
			}
			if err == nil && wrong > 0 {
				err = findings(fmt.Errorf("verify: %d of %d chains are not right", wrong, len(views)))
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key in a PEM `file`, or a folder of them; may be given several times (default: the keys beside the files)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// keysBeside finds the key folders of vendors below dir, or else in the folders above it.
func keysBeside(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == sinks.KeysFolder {
			found = append(found, p)
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verify: look for keys: %w", err)
	}
	above, err := filepath.Abs(dir)
	for depth := 0; err == nil && len(found) == 0 && depth < 4; depth++ { // vendor, Bruger, dataomraade, version
		above = filepath.Dir(above)
		if info, err := os.Stat(filepath.Join(above, sinks.KeysFolder)); err == nil && info.IsDir() {
			found = append(found, filepath.Join(above, sinks.KeysFolder))
		}
	}
	if len(found) == 0 {
		return nil, errors.New("verify: no key lies beside the files: give --key")
	}
	return found, nil
}

// chainView is a chain as verify prints it.
type chainView struct {
	Folder   string   `json:"folder"` // below DIR
	Files    int      `json:"files"`  // that are right
	Rows     int64    `json:"rows"`
	Bytes    int64    `json:"bytes"`
	Newest   uint64   `json:"newest"`   // sequence number
	Position string   `json:"position"` // everything committed before it is there
	Until    string   `json:"until"`
	Problem  string   `json:"problem,omitempty"`
	Extra    []string `json:"extra,omitempty"` // files that no manifest lists
}

// chainViews also counts the chains with a problem.
func chainViews(dir string, reports []sinks.ChainReport) (views []chainView, wrong int) {
	for _, r := range reports {
		v := chainView{Folder: r.Dir, Files: r.Files, Rows: r.Rows, Bytes: r.Bytes, Newest: r.Newest, Position: r.Position, Extra: r.Extra}
		if rel, err := filepath.Rel(dir, r.Dir); err == nil {
			v.Folder = filepath.ToSlash(rel)
		}
		if !r.Until.IsZero() {
			v.Until = r.Until.UTC().Format(time.RFC3339)
		}
		if r.Problem != nil {
			v.Problem = r.Problem.Error()
			wrong++
		}
		views = append(views, v)
	}
	return views, wrong
}

func (a *app) printChains(views []chainView) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FOLDER\tFILES\tROWS\tBYTES\tNEWEST\tUNTIL\tSTATE")
	for _, v := range views {
		state, until := "ok", v.Until
		if v.Problem != "" {
			state = "wrong"
		}
		if until == "" {
			until = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", v.Folder, thousands(int64(v.Files)), thousands(v.Rows), thousands(v.Bytes), v.Newest, until, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, v := range views {
		if v.Problem != "" {
			fmt.Fprintf(a.stdout, "\n%s: %s\n", v.Folder, v.Problem)
		}
		for _, name := range v.Extra {
			fmt.Fprintf(a.stdout, "\n%s: %s belongs to no manifest; leave it alone\n", v.Folder, name)
		}
	}
	return nil
}
