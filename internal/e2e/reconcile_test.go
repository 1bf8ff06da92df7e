package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/catalog"
	"supstream/internal/natstest"
	"supstream/projections"
	"supstream/streams"
)

// TestReconcile compares the mirror with what receivers have while the mirror
// changes, then after changes were lost, and repairs what differs, at rest and
// while supstream is killed under traffic.
func TestReconcile(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	w := newWorld(ctx, t, options{citizens: 200, every: "2s", external: &natstest.Options{}})
	w.listen()
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	w.start()
	js := w.jetstream(ctx)
	w.settle(ctx, js)
	w.eventually(ctx, "wait for the bases", func() error {
		_, err := w.reconcile(ctx)
		return err
	})

	t.Logf("compared at rest: %s", timing(w.compared(ctx, 0)))

	// While much is changed nothing differs.
	play, stop := context.WithCancel(ctx)
	p := w.player(3, 100)
	played := make(chan error, 1)
	go func() { played <- p.Play(play) }()
	runs, rows := 0, int64(0)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); runs++ {
		got, err := w.reconcile(ctx)
		if err != nil || total(got) != 0 {
			t.Fatalf("run %d of a healthy system: %v: %s", runs, err, show(got))
		}
		for _, c := range got {
			rows += c.Rows
		}
		t.Logf("run %d: %s", runs, timing(got))
	}
	stop()
	<-played
	t.Logf("%d runs, %d rows compared under traffic, without a difference", runs, rows)

	// Changes are lost. Exactly their rows are found, and repaired.
	w.lose(ctx, js, conn, 5)
	want := w.differences(ctx, js, conn)
	if len(want) < 20 {
		t.Fatalf("only %d differences were planted", len(want))
	}
	w.start()
	w.settle(ctx, js)
	got := w.compared(ctx, 3)
	if found := listed(got); !slices.Equal(found, want) {
		t.Errorf("found %d differences, planted %d:\n%v\n%v", len(found), len(want), found, want)
	}
	got = w.compared(ctx, 0, "--repair")
	var repaired int64
	for _, c := range got {
		repaired += c.Repaired
	}
	if repaired != int64(len(want)) {
		t.Errorf("%d events repaired %d differences", repaired, len(want))
	}
	w.settle(ctx, js)
	w.foldsEqual(ctx, js, conn)
	if marked := w.marked(ctx, js); !slices.Equal(marked, keys(got)) {
		t.Errorf("the events that are marked as repairs are of other rows than were listed:\n%v\n%v", marked, keys(got))
	}

	// They are lost again, and repaired while the mirror changes and supstream is killed.
	w.lose(ctx, js, conn, 6)
	planted := len(w.differences(ctx, js, conn))
	w.start()
	w.settle(ctx, js)
	play, stop = context.WithCancel(ctx)
	p = w.player(4, 100)
	go func() { played <- p.Play(play) }()
	kills := 0
	for ; kills < 6; kills++ {
		repairing, done := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); w.reconcile(repairing, "--repair") }()
		select {
		case <-time.After(time.Duration(rand.IntN(2500)) * time.Millisecond):
		case <-ended:
		}
		w.kill()
		w.start()
		done()
		<-ended
		w.alive()
	}
	w.compared(ctx, 0, "--repair")
	stop()
	<-played
	w.settle(ctx, js)
	w.compared(ctx, 0)
	w.foldsEqual(ctx, js, conn)
	t.Logf("%d differences repaired under traffic and %d kills", planted, kills)
}

// listen gives supstream a port for orders.
func (w *world) listen() {
	w.t.Helper()
	text, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("supstream.yaml", strings.NewReplacer("marker_interval: 500ms", "marker_interval: 250ms",
		`http: {listen: ""}`, fmt.Sprintf(`http: {listen: "127.0.0.1:%d"}`, freePort(w.t))).Replace(string(text)))
}

// reconcile runs the command. That there are differences is no error here.
func (w *world) reconcile(ctx context.Context, args ...string) ([]projections.Comparison, error) {
	name, err := binary()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, name, append([]string{"reconcile", "-c", w.config, "--json", "--list", "1000000"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s%s", err, &stderr, out)
	}
	var got []projections.Comparison
	return got, json.Unmarshal(out, &got)
}

// compared runs the command until it has compared everything, and checks its verdict.
func (w *world) compared(ctx context.Context, code int, args ...string) []projections.Comparison {
	w.t.Helper()
	var got []projections.Comparison
	w.eventually(ctx, "compare", func() (err error) {
		got, err = w.reconcile(ctx, args...)
		return err
	})
	if (total(got) > 0) != (code == 3) {
		w.t.Errorf("reconcile %v: %s", args, show(got))
	}
	return got
}

// lose stops supstream, changes the mirror, and makes the slot and the streams
// believe that they have these changes.
func (w *world) lose(ctx context.Context, js jetstream.JetStream, conn *pgx.Conn, seed uint64) {
	w.t.Helper()
	w.stop()
	w.play(ctx, seed, 200, 3*time.Second)
	var lsn uint64
	if err := conn.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint FROM pg_replication_slot_advance('supstream', pg_current_wal_lsn())").Scan(&lsn); err != nil {
		w.t.Fatal(err)
	}
	subjects := map[string]string{streams.HeldStream: "dfdg._held._pos"}
	for _, a := range w.open() {
		subjects[streams.StreamName(a.Slug)] = "dfdg." + a.Slug + "._pos"
	}
	for name, subject := range subjects {
		s, err := js.Stream(ctx, name)
		if err != nil {
			w.t.Fatal(err)
		}
		last, err := s.GetLastMsgForSubject(ctx, subject)
		if err != nil {
			w.t.Fatal(err)
		}
		var record map[string]any
		if err := json.Unmarshal(last.Data, &record); err != nil {
			w.t.Fatal(err)
		}
		record["position"] = fmt.Sprintf("%016X-00000000", lsn)
		data, err := json.Marshal(record)
		if err != nil {
			w.t.Fatal(err)
		}
		msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{"Nats-Rollup": {"sub"}, "Nats-TTL": {"never"}}}
		if _, err := js.PublishMsg(ctx, msg); err != nil {
			w.t.Fatal(err)
		}
	}
}

// differences lists, from the events and from SQL, what receivers do not have
// as the mirror has it: Bruger, table and kind of each row, sorted.
func (w *world) differences(ctx context.Context, js jetstream.JetStream, conn *pgx.Conn) []string {
	w.t.Helper()
	out := []string{}
	for _, area := range w.open() {
		got, _ := w.fold(ctx, js, area)
		w.eachTruth(ctx, conn, area, func(table *catalog.Table, b catalog.Bruger, want map[string]string) {
			have := got.table(b, table.Slug)
			add := func(kind string) { out = append(out, fmt.Sprintf("%s %s %s", b, table.Slug, kind)) }
			for key, row := range want {
				if h, ok := have[key]; !ok {
					add(projections.Missing)
				} else if h != row {
					add(projections.Differs)
				}
			}
			for key := range have {
				if _, ok := want[key]; !ok {
					add(projections.Extra)
				}
			}
		})
	}
	slices.Sort(out)
	return out
}

// eachTruth yields what SQL says that each Bruger must have of each table. One query answers for all Brugere of an axis.
func (w *world) eachTruth(ctx context.Context, conn *pgx.Conn, area *catalog.Dataomraade, yield func(*catalog.Table, catalog.Bruger, map[string]string)) {
	w.t.Helper()
	for _, table := range area.Tables {
		for _, axis := range []catalog.Axis{catalog.Kommune, catalog.Akasse, catalog.Alle} {
			rows, err := w.mirror.Rows(ctx, conn, table, w.mirror.OwnedSQL(table, axis))
			if err != nil {
				w.t.Fatal(err)
			}
			brugere := w.catalog.Brugere(axis)
			if axis == catalog.Alle {
				brugere = []catalog.Bruger{{Axis: catalog.Alle}}
			}
			of := map[catalog.Bruger]map[string]string{}
			for key, row := range rows {
				b := catalog.Bruger{Axis: catalog.Alle}
				if i := slices.IndexFunc(table.Owners, func(o catalog.Owner) bool { return o.Axis == axis }); i >= 0 {
					var values []*string
					if err := json.Unmarshal([]byte(row), &values); err != nil {
						w.t.Fatal(err)
					}
					b, _ = w.catalog.Bruger(axis, []byte(*values[table.Owners[i].Column]))
				}
				if of[b] == nil {
					of[b] = map[string]string{}
				}
				of[b][key] = row
			}
			for _, b := range brugere {
				yield(table, b, of[b])
			}
		}
	}
}

func (w *world) foldsEqual(ctx context.Context, js jetstream.JetStream, conn *pgx.Conn) {
	w.t.Helper()
	if left := w.differences(ctx, js, conn); len(left) > 0 {
		w.t.Errorf("%d rows differ: %v", len(left), left[:min(10, len(left))])
	}
}

// marked lists the subjects of all events that are marked as repairs, sorted.
func (w *world) marked(ctx context.Context, js jetstream.JetStream) []string {
	w.t.Helper()
	found := map[string]bool{}
	for _, area := range w.open() {
		s, err := js.Stream(ctx, streams.StreamName(area.Slug))
		if err != nil {
			w.t.Fatal(err)
		}
		info, err := s.Info(ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		cons, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
		if err != nil {
			w.t.Fatal(err)
		}
		it, err := cons.Messages()
		if err != nil {
			w.t.Fatal(err)
		}
		for {
			msg, err := it.Next(jetstream.NextContext(ctx))
			if err != nil {
				w.t.Fatal(err)
			}
			var e struct {
				Subject string `json:"subject"`
				Repair  bool   `json:"repair"`
			}
			if json.Unmarshal(msg.Data(), &e) == nil && e.Repair {
				found[e.Subject] = true
			}
			if meta, err := msg.Metadata(); err != nil || meta.Sequence.Stream >= info.State.LastSeq {
				break
			}
		}
		it.Stop()
	}
	return slices.Sorted(maps.Keys(found))
}

func total(list []projections.Comparison) (n int64) {
	for _, c := range list {
		n += c.Differences()
	}
	return n
}

// timing says how long areas took.
func timing(list []projections.Comparison) string {
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%s %d %.1fs ", c.Dataomraade, c.Rows, c.Seconds)
	}
	return b.String()
}

func show(list []projections.Comparison) string {
	var b strings.Builder
	for _, c := range list {
		if c.Differences() > 0 {
			fmt.Fprintf(&b, "%s %v %v\n", c.Dataomraade, c.Kinds, c.List[:min(5, len(c.List))])
		}
	}
	return b.String()
}

// listed is what a comparison lists, in the form of differences.
func listed(list []projections.Comparison) []string {
	out := []string{}
	for _, c := range list {
		for _, d := range c.List {
			out = append(out, fmt.Sprintf("%s %s %s", d.Bruger, d.Table, d.Kind))
		}
	}
	slices.Sort(out)
	return out
}

// keys are the pseudonyms that a comparison lists, sorted, each once.
func keys(list []projections.Comparison) []string {
	out := []string{}
	for _, c := range list {
		for _, d := range c.List {
			out = append(out, d.Key)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
