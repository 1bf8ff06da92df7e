package projections

import (
	"context"
	"fmt"
	"testing"

	"supstream/capture"
	"supstream/catalog"
	"supstream/projections/durable"
	"supstream/streams"
)

// realistic makes n events of which a third are repeated changes of a row, over ten kommuner, about 420 bytes of JSON each.
func realistic(n int) []streams.Event {
	out := make([]streams.Event, n)
	for i := range out {
		id := fmt.Sprintf("5b1f0c3e-0000-4000-8000-%012d", i*2/3)
		op := streams.OpInsert
		if i*2/3 == (i-1)*2/3 && i > 0 {
			op = streams.OpUpdate
		}
		out[i] = streams.Event{
			Seq: uint64(i + 1), Position: capture.Position{LSN: uint64(i), Ordinal: 1}, Table: "samtale", Op: op, Bruger: kommune(fmt.Sprint(101 + i*2/3%10)),
			Time: stamp(i), XID: uint32(i), Key: fmt.Appendf(nil, `{"samtale_id":"%s"}`, id),
			Row: fmt.Appendf(nil, `{"samtale_id":"%s","cpr":"010190%04d","kommune_kode":"751","samtaletype":%d,"kontaktform":"Personligt fremmøde",`+
				`"planlagt_start":"2026-01-31T08:%02d:00","afholdt":true,"emne":"Opfølgning på jobplan og virksomhedspraktik",`+
				`"resume":"Borgeren har søgt %d stillinger siden sidst og ønsker vejledning om opkvalificering inden for lager og logistik.",`+
				`"oprettet":"2026-01-01T08:00:00.123456Z","aendret":null}`, id, i%10000, i%20, i%60, i%30),
		}
	}
	return out
}

func BenchmarkFold(b *testing.B) {
	for _, bench := range []struct {
		name   string
		budget int64
	}{{"memory", 1 << 40}, {"spill", 16 << 20}} {
		b.Run(bench.name, func(b *testing.B) {
			events := realistic(200_000)
			spool, err := OpenSpool(durable.OS{}, b.TempDir(), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				c := NewCompactor(spool, bench.budget)
				for i := range events {
					if err := c.Add(&events[i]); err != nil {
						b.Fatal(err)
					}
				}
				f := c.Finish()
				rows := 0
				for _, br := range brugereOf(f.parts()) {
					if err := f.rows(context.Background(), []catalog.Bruger{br}, func(*Row) error { rows++; return nil }); err != nil {
						b.Fatal(err)
					}
				}
				if err := f.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(rows), "rows")
			}
			b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
