package sinks

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"supstream/catalog"
	"supstream/projections"
	"supstream/projections/durable"
	"supstream/projections/sinktest"
	"supstream/streams"
)

const filesDoc = "../docs/FILES.md"

// rewriting tells whether -rewrite was given: put the examples as the code makes them into docs/FILES.md, to be reviewed as a diff.
func rewriting() bool {
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("rewrite", false, "rewrite the examples in docs/FILES.md")
	flag.Parse()
	os.Exit(m.Run())
}

// example writes the tree of docs/FILES.md: a full load and the delta whose rows stand there.
func example(t *testing.T, rows string) (dir string, delta projections.Manifest) {
	t.Helper()
	mark := func(lsn uint64, seq uint64, hour int) streams.Mark {
		m := streams.Mark{Seq: seq, Time: time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC), Incarnation: "A1B2C3"}
		m.Position.LSN = lsn
		return m
	}
	area := &catalog.Dataomraade{Slug: "eksempel", Version: 1, Tables: []*catalog.Table{{Slug: "samtale", Key: []int{0}, Columns: []catalog.Column{
		{Name: "samtale_id", Type: "uuid"}, {Name: "samtaletype", Type: "smallint"}, {Name: "aftaletekst", Type: "text", Nullable: true}}}}}
	c := projections.Chain{Opgaveloeser: "eksempel_it", Bruger: catalog.Bruger{Axis: catalog.Kommune, Kode: "751"}, Dataomraade: "eksempel", Version: 1}
	full := sinktest.Delta(t, c, streams.Mark{}, mark(0x16B3748, 812, 5))
	second := sinktest.Delta(t, c, mark(0x16B3748, 812, 5), mark(0x16C0010, 977, 11))
	full.Area, second.Area = area, area
	second.Rows = func(_ context.Context, yield func(*projections.Row) error) error {
		var d Decoder
		for line := range strings.Lines(rows) {
			if err := d.parse([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
				return err
			}
			if err := yield(&d.row); err != nil {
				return err
			}
		}
		zero := sinktest.Row(projections.OpNone, "0190f0c4-7b1e-4c2a-9f3e-000000000005", "")
		return yield(&zero)
	}
	dir = t.TempDir()
	return filepath.Join(dir, c.Opgaveloeser), publish(t, newOutbox(t, durable.OS{}, dir), full, second)[1]
}

// The examples of the document are what the code writes, and its commands do what it says.
func TestFilesDocument(t *testing.T) {
	text, err := os.ReadFile(filesDoc)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	rows := block(t, doc, "ndjson delta")
	dir, m := example(t, rows)
	chain := filepath.Join(dir, "kommune-751", "eksempel", "v1")
	manifest, err := os.ReadFile(filepath.Join(chain, m.Name()+ManifestSuffix))
	if err != nil {
		t.Fatal(err)
	}
	var tree []string
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			path, err = filepath.Rel(dir, path)
			tree = append(tree, filepath.ToSlash(path)+"\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(tree)
	for name, want := range map[string]string{"text tree": strings.Join(tree, ""), "json manifest": string(manifest)} {
		got := block(t, doc, name)
		if got != want && rewriting() {
			doc = strings.Replace(doc, got, want, 1)
		} else if got != want {
			t.Errorf("block %q is\n%swant\n%s(go test ./sinks -run FilesDocument -rewrite)", name, got, want)
		}
	}
	if doc != string(text) {
		if err := os.WriteFile(filesDoc, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-eu", "-c", block(t, doc, "sh verify"))
	cmd.Dir = chain
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "Signature Verified Successfully\n"+rows {
		t.Errorf("the commands: %v\n%s", err, out)
	}
	reader := Reader{Keys: publicKeys()}
	reports, err := reader.Verify(context.Background(), dir)
	if err != nil || len(reports) != 1 || reports[0].Problem != nil || reports[0].Files != 2 {
		t.Errorf("verify: %+v, %v", reports, err)
	}
}

// Every member of a manifest stands in the table of the document.
func TestFilesDocumentNamesEveryMember(t *testing.T) {
	text, err := os.ReadFile(filesDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`"([a-z_0-9]+)":`).FindAllStringSubmatch(block(t, string(text), "json manifest")+block(t, string(text), "ndjson delta"), -1) {
		if !regexp.MustCompile("`[a-z_.\\[\\]…]*"+name[1]+"[`.]").MatchString(string(text)) &&
			!slices.Contains([]string{"samtale_id", "samtaletype", "aftaletekst"}, name[1]) {
			t.Errorf("member %s is not explained", name[1])
		}
	}
}

// block is the content of a fenced block with an info string.
func block(t *testing.T, doc, info string) string {
	t.Helper()
	_, after, found := strings.Cut(doc, "\n```"+info+"\n")
	content, _, closed := strings.Cut(after, "```\n")
	if !found || !closed {
		t.Fatalf("%s has no block %q", filesDoc, info)
	}
	return content
}
