package sinks

import (
	"context"
	"testing"
	"time"

	"supstream/internal/pgtest"
	"supstream/projections"
	"supstream/projections/durable/crashfs"
	"supstream/projections/sinktest"
	"supstream/streams"
)

// A vendor's database made from the manifests alone holds the rows, typed, after full load and deltas.
func TestPostgresStore(t *testing.T) {
	ctx := context.Background()
	server := pgtest.New(t)
	conn, err := server.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	store, err := NewPostgresStore(ctx, conn, "leverandoer_a")
	if err != nil {
		t.Fatal(err)
	}
	id := func(n string) string { return "00000000-0000-4000-8000-00000000000" + n }
	row := func(op projections.Op, n, text string) projections.Row {
		r := projections.Row{Op: op, Table: "samtale", Time: time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC), XID: 7, Changes: 1}
		if n != "" {
			r.Key = []byte(`{"samtale_id":"` + id(n) + `"}`)
		}
		if text != "" {
			r.Row = []byte(`{"samtale_id":"` + id(n) + `","cpr":"0101900000","kommune_kode":"751","akasse_kode":null,"samtaletype":7,` +
				`"afholdt_tid":"2026-01-01T08:00:00.123456Z","flere_myndigheder":true,"aftaletekst":"` + text + `"}`)
		}
		return r
	}
	fsys := crashfs.New()
	o := newOutbox(t, fsys, "/outbox")
	r := Reader{Keys: publicKeys(), FS: fsys}
	check := func(want string) {
		t.Helper()
		reports, err := r.Apply(ctx, "/outbox", store)
		if err != nil {
			t.Fatal(err)
		}
		for _, rep := range reports {
			if rep.Problem != nil {
				t.Fatal(rep.Problem)
			}
		}
		var got string
		err = conn.QueryRow(ctx, `SELECT coalesce(string_agg(concat_ws(' ', _bruger, right(samtale_id::text, 1), samtaletype + 1, flere_myndigheder, aftaletekst,
			coalesce(akasse_kode, 'null'), afholdt_tid AT TIME ZONE 'UTC'), '; ' ORDER BY _bruger, samtale_id), '') FROM leverandoer_a.samtaler_samtale`).Scan(&got)
		if err != nil || got != want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, want)
		}
	}
	c, other := sinktest.Chain("a"), sinktest.Chain("a")
	other.Bruger.Kode = "101"
	publish(t, o, sinktest.Delta(t, c, streams.Mark{}, sinktest.Mark(1), row('I', "1", "én"), row('I', "2", "to")),
		sinktest.Delta(t, other, streams.Mark{}, sinktest.Mark(1), row('I', "9", "ni")))
	rest := " null 2026-01-01 08:00:00.123456"
	nine := "kommune.101 9 8 t ni" + rest
	check(nine + "; kommune.751 1 8 t én" + rest + "; kommune.751 2 8 t to" + rest)
	publish(t, o, sinktest.Delta(t, c, sinktest.Mark(1), sinktest.Mark(2), row('U', "1", "anden"), row('O', "2", ""), row('I', "3", "tre"), row('D', "7", "")))
	check(nine + "; kommune.751 1 8 t anden" + rest + "; kommune.751 3 8 t tre" + rest)
	check(nine + "; kommune.751 1 8 t anden" + rest + "; kommune.751 3 8 t tre" + rest)
	publish(t, o, sinktest.Delta(t, c, sinktest.Mark(2), sinktest.Mark(3), row('T', "", ""), row('I', "4", "fire")))
	check(nine + "; kommune.751 4 8 t fire" + rest)
	publish(t, o, sinktest.Delta(t, c, streams.Mark{}, sinktest.Mark(3), row('I', "5", "fem")))
	check(nine + "; kommune.751 5 8 t fem" + rest)
	if at, err := store.Applied(ctx, c); err != nil || at.Sequence != 4 {
		t.Errorf("store is at %+v, %v", at, err)
	}
}
