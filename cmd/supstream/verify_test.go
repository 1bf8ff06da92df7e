package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"supstream/capture"
	"supstream/catalog"
	"supstream/projections"
	"supstream/projections/durable"
	"supstream/sinks"
	"supstream/streams"
)

// outbox makes a tree with one chain of a full load and a delta, and returns the folder and the chain's folder.
func outbox(t *testing.T) (dir, chain string) {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	area, _ := c.Dataomraade("kodelister")
	dir = t.TempDir()
	out, err := sinks.NewOutbox(durable.OS{}, dir, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	at := func(lsn, seq uint64) streams.Mark {
		return streams.Mark{Position: capture.Position{LSN: lsn}, Seq: seq, Time: time.Date(2026, 1, 1, 0, 0, int(seq), 0, time.UTC), Incarnation: "a1"}
	}
	row := func(op projections.Op, code string) projections.Row {
		key := `{"kodeliste":"K","kode":"` + code + `"}`
		r := projections.Row{Op: op, Table: area.Tables[0].Slug, Key: []byte(key), Time: at(0, 5).Time, XID: 7, Changes: 1}
		if op != projections.OpDelete {
			r.Row = []byte(`{"kodeliste":"K","kode":"` + code + `"}`)
		}
		return r
	}
	d := projections.Delta{
		Chain: projections.Chain{Opgaveloeser: "nordlys", Bruger: catalog.Bruger{Axis: catalog.Kommune, Kode: "461"}, Dataomraade: area.Slug, Version: area.Version},
		Kind:  projections.FullLoad, Area: area, Catalog: c.Version(), To: at(0x100, 10),
	}
	for _, rows := range [][]projections.Row{
		{row(projections.OpInsert, "1"), row(projections.OpInsert, "2")},
		{row(projections.OpDelete, "1")},
	} {
		d.Rows = func(_ context.Context, yield func(*projections.Row) error) error {
			for _, r := range rows {
				if err := yield(&r); err != nil {
					return err
				}
			}
			return nil
		}
		if _, err := out.Publish(context.Background(), &d); err != nil {
			t.Fatal(err)
		}
		d.Kind, d.From, d.To = projections.DeltaLoad, d.To, at(0x200, 20)
	}
	return dir, filepath.Join(dir, filepath.FromSlash(d.Chain.String()))
}

func TestVerify(t *testing.T) {
	dir, chain := outbox(t)
	keys := filepath.Join(dir, "nordlys", sinks.KeysFolder)
	const beside = "supstream: keys are those beside the files, which shows damage, not forgery; give --key for both\n"

	all := regexp.MustCompile(`^FOLDER +FILES +ROWS +BYTES +NEWEST +UNTIL +STATE
nordlys/kommune-461/kodelister/v1 +2 +3 +[0-9,]+ +2 +2026-01-01T00:00:20Z +ok
$`)
	for _, args := range [][]string{{"verify", dir}, {"verify", "--key", keys, dir}} {
		got := runIn(t, dir, nil, args...)
		if got.code != exitOK || !all.MatchString(got.stdout) || (got.stderr == beside) != (len(args) == 2) {
			t.Errorf("%v: %+v", args, got)
		}
	}
	// A chain's own folder has its keys above it.
	if got := runIn(t, chain, nil, "verify", "."); got.code != exitOK || got.stderr != beside || !strings.Contains(got.stdout, "\n.  ") {
		t.Errorf("the chain's folder: %+v", got)
	}
	var views []chainView
	got := runIn(t, dir, nil, "verify", "--json", "nordlys")
	err := json.Unmarshal([]byte(got.stdout), &views)
	if err != nil || len(views) != 1 || views[0].Folder != "kommune-461/kodelister/v1" || views[0].Files != 2 || views[0].Problem != "" {
		t.Errorf("json: %v, %+v", err, got)
	}

	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"verify"}, "supstream: accepts 1 arg(s), received 0\nrun supstream verify --help\n"},
		{[]string{"verify", "none"}, "supstream: verify: stat none: no such file or directory\n"},
		{[]string{"verify", "--key", "none.pem", "."}, "supstream: public key none.pem: open none.pem: no such file or directory\n"},
	} {
		if got := runIn(t, dir, nil, tc.args...); got != (result{exitInput, "", tc.want}) {
			t.Errorf("%v: %+v", tc.args, got)
		}
	}
	if got := runIn(t, t.TempDir(), nil, "verify", "."); got != (result{exitInput, "", "supstream: verify: no key lies beside the files: give --key\n"}) {
		t.Errorf("an empty folder: %+v", got)
	}

	// One byte of the newest data file is changed.
	names, err := filepath.Glob(filepath.Join(chain, "*.D.ndjson.zst"))
	if err != nil || len(names) != 1 {
		t.Fatalf("delta files: %v, %v", names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(names[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	got = runIn(t, dir, nil, "verify", "--key", keys, dir)
	if got.code != exitFindings || got.stderr != "supstream: verify: 1 of 1 chains are not right\n" || !strings.Contains(got.stdout, "  wrong\n\nnordlys/kommune-461/kodelister/v1: "+filepath.Base(names[0])+": ") {
		t.Errorf("a damaged file: %+v", got)
	}
}
