package sinktest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"supstream/catalog"
	"supstream/projections"
	"supstream/streams"
)

// Mark is the nth place of a made-up stream at which a window may end.
func Mark(n int) streams.Mark {
	m := streams.Mark{Seq: uint64(n) * 10, Time: time.Date(2026, 1, 1, 6*n, 0, 0, 0, time.UTC), Incarnation: "life1"}
	m.Position.LSN = uint64(n) << 12
	return m
}

// Area is a dataomraade of the shipped catalogue.
func Area(t testing.TB, slug string) *catalog.Dataomraade {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	area, ok := c.Dataomraade(slug)
	if !ok {
		t.Fatalf("the catalogue has no area %s", slug)
	}
	return area
}

// Chain is the chain of an Opgaveloeser that the suite writes to.
func Chain(opgaveloeser string) projections.Chain {
	return projections.Chain{Opgaveloeser: opgaveloeser, Bruger: catalog.Bruger{Axis: catalog.Kommune, Kode: "751"}, Dataomraade: "samtaler", Version: 1}
}

// Delta is a delta of area samtaler with these rows; a zero from makes it a full load.
func Delta(t testing.TB, c projections.Chain, from, to streams.Mark, rows ...projections.Row) *projections.Delta {
	t.Helper()
	kind := projections.DeltaLoad
	if from == (streams.Mark{}) {
		kind = projections.FullLoad
	}
	return &projections.Delta{
		Chain: c, Kind: kind, Area: Area(t, "samtaler"), Catalog: "0123456789abcdef", From: from, To: to,
		Rows: func(_ context.Context, yield func(*projections.Row) error) error {
			for i := range rows {
				if err := yield(&rows[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// Row is a row of table samtale. An empty value makes one without content.
func Row(op projections.Op, id, value string) projections.Row {
	r := projections.Row{Op: op, Table: "samtale", Time: time.Date(2026, 1, 1, 8, 0, 0, 123456000, time.UTC), XID: 7, Changes: 1}
	if id != "" {
		r.Key = []byte(`{"samtale_id":"` + id + `"}`)
	}
	if value != "" {
		r.Row = []byte(`{"samtale_id":"` + id + `","aftaletekst":"` + value + `"}`)
	}
	return r
}

// Run checks a Sink. rows reads back what it holds, per file of the chain, as RowText gives them.
func Run(t *testing.T, sink projections.Sink, rows func(t *testing.T, c projections.Chain) [][]string) {
	ctx := context.Background()
	c := Chain("leverandoer_a")
	publish := func(d *projections.Delta) projections.Manifest {
		t.Helper()
		m, err := sink.Publish(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	refused := func(what string, d *projections.Delta) {
		t.Helper()
		before := rows(t, c)
		if _, err := sink.Publish(ctx, d); !errors.Is(err, projections.ErrNotContiguous) {
			t.Errorf("%s: error %v, want ErrNotContiguous", what, err)
		}
		if after := rows(t, c); !slices.EqualFunc(before, after, slices.Equal) {
			t.Errorf("%s: it left something: %v", what, after)
		}
	}

	if _, err := sink.Last(ctx, c); !errors.Is(err, projections.ErrNoManifest) {
		t.Fatalf("before the first file: error %v, want ErrNoManifest", err)
	}
	refused("a chain that begins with a delta", Delta(t, c, Mark(1), Mark(2)))

	full := publish(Delta(t, c, streams.Mark{}, Mark(1), Row('I', "a", "1"), Row('I', "b", "1")))
	if full.Sequence != 1 || full.Kind != projections.FullLoad || *full.AppliesAfter != 0 || full.Previous != nil || full.To != projections.PointOf(Mark(1)) {
		t.Errorf("manifest of the full load: %+v", full)
	}

	first := Delta(t, c, Mark(1), Mark(2), Row('U', "a", "2"), Row('D', "b", ""), Row('-', "x", ""))
	one := publish(first)
	if one.Sequence != 2 || one.Previous == nil || one.From != full.To || !one.Period.Start.Equal(Mark(1).Time) || one.Data.Rows != 2 {
		t.Errorf("manifest of the first delta: %+v", one)
	}
	var counts projections.TableContents
	for _, table := range one.Tables {
		if table.Table == "samtale" {
			counts = table
		}
	}
	if want := (projections.OpCounts{U: 1, D: 1}); counts.Rows != want || counts.NetZero != 1 {
		t.Errorf("counts %+v, net zero %d", counts.Rows, counts.NetZero)
	}
	if last, err := sink.Last(ctx, c); err != nil || last.Name() != one.Name() {
		t.Errorf("newest manifest %s, %v; want %s", last.Name(), err, one.Name())
	}
	if again := publish(first); again.Name() != one.Name() || len(rows(t, c)) != 2 {
		t.Errorf("published again: %s, %d files", again.Name(), len(rows(t, c)))
	}

	refused("a delta that leaves a gap", Delta(t, c, Mark(3), Mark(4)))
	refused("a delta that goes back", Delta(t, c, Mark(1), Mark(3)))
	other := Mark(3)
	other.Incarnation = "life2"
	refused("a delta of another stream", Delta(t, c, Mark(2), other))

	publish(Delta(t, c, Mark(2), Mark(3)))
	ordered := publish(Delta(t, c, streams.Mark{}, Mark(3), Row('I', "a", "2")))
	if ordered.Sequence != 4 || *ordered.AppliesAfter != 3 {
		t.Errorf("manifest of the second full load: %+v", ordered)
	}

	failing := Delta(t, c, Mark(3), Mark(4))
	failing.Rows = func(_ context.Context, yield func(*projections.Row) error) error {
		r := Row('U', "a", "3")
		return errors.Join(yield(&r), errors.New("the stream broke"))
	}
	if _, err := sink.Publish(ctx, failing); err == nil {
		t.Error("a delta whose rows fail was published")
	}
	want := [][]string{
		{`I samtale {"samtale_id":"a"} {"samtale_id":"a","aftaletekst":"1"} xid 7 × 1`, `I samtale {"samtale_id":"b"} {"samtale_id":"b","aftaletekst":"1"} xid 7 × 1`},
		{`U samtale {"samtale_id":"a"} {"samtale_id":"a","aftaletekst":"2"} xid 7 × 1`, `D samtale {"samtale_id":"b"} xid 7 × 1`},
		{},
		{`I samtale {"samtale_id":"a"} {"samtale_id":"a","aftaletekst":"2"} xid 7 × 1`},
	}
	if got := rows(t, c); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("files hold\n%v\nwant\n%v", got, want)
	}
	if _, err := sink.Last(ctx, Chain("leverandoer_b")); !errors.Is(err, projections.ErrNoManifest) {
		t.Errorf("another chain: error %v, want ErrNoManifest", err)
	}
}
