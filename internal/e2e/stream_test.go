package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/streams"
)

// folded is what a subscriber of one Bruger has of one table after all events:
// row by key, in the form of mirror.Truth.
type folded map[catalog.Bruger]map[string]map[string]string

// fold applies all events of an area, and checks on the way that they are in
// order and that each comes once.
func (w *world) fold(ctx context.Context, js jetstream.JetStream, area *catalog.Dataomraade) (*folded, []*streams.Event) {
	w.t.Helper()
	r := streams.NewReader(js)
	mark, err := r.Newest(ctx, area.Slug)
	if err != nil {
		w.t.Fatal(err)
	}
	tables := map[string]*catalog.Table{}
	for _, t := range area.Tables {
		tables[t.Slug] = t
	}
	state := &folded{}
	var events []*streams.Event
	last := ""
	err = r.Read(ctx, area.Slug, 0, mark.Seq, func(e *streams.Event) error {
		if e.ID <= last {
			return fmt.Errorf("event %s does not lie behind %s", e.ID, last)
		}
		last = e.ID
		kept := *e
		kept.Key, kept.Row = bytes.Clone(e.Key), bytes.Clone(e.Row)
		events = append(events, &kept)
		rows := state.table(e.Bruger, e.Table)
		t := tables[e.Table]
		if e.Op == streams.OpTruncate {
			clear(rows)
			return nil
		}
		key, err := keyOf(t, e.Key)
		if err != nil {
			return err
		}
		if !e.Op.HasRow() {
			delete(rows, key)
			return nil
		}
		canonicalKey, row, err := mirror.Canonical(t, e.Row)
		if err != nil {
			return err
		}
		if canonicalKey != key {
			return fmt.Errorf("event %s: key and row do not belong together", e.ID)
		}
		rows[key] = row
		return nil
	})
	if err != nil {
		w.t.Errorf("%s: %v", area.Slug, err)
	}
	return state, events
}

func (fp *folded) table(b catalog.Bruger, table string) map[string]string {
	f := *fp
	if f[b] == nil {
		f[b] = map[string]map[string]string{}
	}
	if f[b][table] == nil {
		f[b][table] = map[string]string{}
	}
	return f[b][table]
}

// compare compares what subscribers have with SQL on the mirror, for every
// Bruger and table.
func (w *world) compare(ctx context.Context, t *testing.T, conn *pgx.Conn, area *catalog.Dataomraade, got *folded) {
	t.Helper()
	for _, table := range area.Tables {
		for _, axis := range []catalog.Axis{catalog.Kommune, catalog.Akasse, catalog.Alle} {
			brugere := w.catalog.Brugere(axis)
			if axis == catalog.Alle {
				brugere = []catalog.Bruger{{Axis: catalog.Alle}}
			}
			for _, b := range brugere {
				want, err := w.mirror.Truth(ctx, conn, table, b)
				if err != nil {
					t.Fatal(err)
				}
				if d := difference(want, got.table(b, table.Slug)); d != "" {
					t.Errorf("%s %s: %s", table, b, d)
				}
			}
		}
	}
}

// difference says how many rows differ, without showing any.
func difference(want, got map[string]string) string {
	missing, extra, other := 0, 0, 0
	for key, row := range want {
		switch g, ok := got[key]; {
		case !ok:
			missing++
		case g != row:
			other++
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			extra++
		}
	}
	if missing+extra+other == 0 {
		return ""
	}
	return fmt.Sprintf("of %d rows %d are missing and %d differ; %d are too many", len(want), missing, other, extra)
}

func (w *world) player(seed uint64, rate float64) *mirror.Player {
	w.t.Helper()
	p, err := w.mirror.Player(mirror.PlayerOptions{Seed: seed, Rate: rate, Connect: func(ctx context.Context) (*pgx.Conn, error) {
		return w.pg.Connect(ctx, database)
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// keyOf writes the key of an event in the form of mirror.Truth.
func keyOf(t *catalog.Table, object []byte) (string, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(object, &values); err != nil {
		return "", fmt.Errorf("key of %s: %w", t, err)
	}
	if len(values) != len(t.Key) {
		return "", fmt.Errorf("key of %s has %d columns", t, len(values))
	}
	list := make([]string, len(t.Key))
	for i, at := range t.Key {
		raw := values[t.Columns[at].Name]
		if len(raw) > 0 && raw[0] != '"' {
			list[i] = string(raw)
			continue
		}
		if err := json.Unmarshal(raw, &list[i]); err != nil {
			return "", fmt.Errorf("key of %s: %w", t, err)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(list)
	return strings.TrimSuffix(b.String(), "\n"), err
}
