package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/internal/natstest"
	"supstream/internal/pgtest"
)

// TestInUse: what a running supstream has is not taken from it, check and status tell about it, and it does not notice.
func TestInUse(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := newSmall(ctx, t, "nats: {embedded: {listen: \"127.0.0.1:%d\"}}\n")
	port := freePort(t)
	s.serve(port)
	expect := func(name string, got outcome, code int, stdout, stderr string) {
		t.Helper()
		if got.code != code || !strings.Contains(got.stdout, stdout) || !strings.Contains(got.stderr, stderr) {
			t.Errorf("%s: got %+v\nwant exit code %d, %q, %q", name, got, code, stdout, stderr)
		}
	}
	expect("status before the start", supstream(t, s.dir, s.env(), "status"), 1, "", "does supstream run, and is http.listen its address?")

	s.start()
	s.insert(ctx, 1, 10, 100)
	s.holds(ctx, 10)
	s.until(ctx, "be ready", func() error {
		if got := supstream(t, s.dir, s.env(), "status"); got.code != 0 {
			return fmt.Errorf("status: %+v", got)
		}
		return nil
	})
	expect("status", supstream(t, s.dir, s.env(), "status"), 0, "mirror dfdg, roles capture project serve", "")
	expect("status", supstream(t, s.dir, s.env(), "status", "--json"), 0, `"ready": true`, "")

	expect("second run", supstream(t, s.dir, s.env(), "run"), 1, "",
		"supstream: data/nats: the store directory is in use by another process: stop that process, or choose another data_dir\n")
	got := supstream(t, s.dir, s.env(), "check")
	expect("check", got, 0, "info     store: data/nats is in use by a running supstream; a second one would be refused", "")
	expect("check", got, 0, fmt.Sprintf("info     http.listen: a running supstream has 127.0.0.1:%d: version", port), "")
	expect("check", got, 0, "info     intet: has no grant in force: no access for intet to koder of kommune.101: samarbejdsaftale S-intet is ended, not active", "")

	// Another supstream with a store of its own wants the same port.
	other := smallFolder(t, "other", "")
	put(t, other, map[string]string{"supstream.yaml": strings.Replace(fmt.Sprintf(smallConfig, "other", ""), `http: {listen: ""}`, fmt.Sprintf("http: {listen: \"127.0.0.1:%d\"}", port), 1)})
	taken := fmt.Sprintf("listen tcp 127.0.0.1:%d: bind: address already in use", port)
	expect("run on a taken port", supstream(t, other, s.env(), "run"), 1, "", "supstream: http.listen: "+taken+"\n")
	expect("check of a taken port", supstream(t, other, s.env(), "check"), 3, "problem  http.listen: "+taken+"\n           fix: stop what has the port, or set http.listen to another one", "")

	s.insert(ctx, 11, 10, 100)
	s.holds(ctx, 20)
	if strings.Contains(s.log.String(), "trying again") {
		t.Error("the running supstream was disturbed")
	}
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Errorf("supstream run: %v", err)
	}

	key := filepath.Join(s.dir, "data/keys/pseudonym.key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	wide := "data/keys/pseudonym.key can be read by others (mode 0644): chmod 600 it"
	expect("run with an open key", supstream(t, s.dir, s.env(), "run"), 1, "", wide)
	expect("check of an open key", supstream(t, s.dir, s.env(), "check"), 3, "problem  pseudonym.key: "+wide, "")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	expect("check of a lost key", supstream(t, s.dir, s.env(), "check"), 3,
		"problem  pseudonym.key: data/keys/pseudonym.key is not there, but the streams hold events whose subjects were made with it\n           fix: restore it from the backup", "")
}

// TestBadNATS: a NATS server that would lose data, or that is not ours, is refused.
func TestBadNATS(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	pg := pgtest.NewWith(t, pgtest.Options{NoSync: true})
	if err := pg.Exec(ctx, "postgres", smallDDL(t)); err != nil {
		t.Fatal(err)
	}
	try := func(t *testing.T, url, monitor string, replicas int) (dir string, env []string) {
		return smallFolder(t, "s", fmt.Sprintf("nats: {url: %q, monitor: [%q], replicas: %d}\n", url, monitor, replicas)), []string{"SUPSTREAM_POSTGRES_URL=" + pg.URL("postgres")}
	}
	expect := func(t *testing.T, got outcome, code int, stdout, stderr string) {
		t.Helper()
		if got.code != code || !strings.Contains(got.stdout, stdout) || !strings.Contains(got.stderr, stderr) {
			t.Errorf("got %+v\nwant exit code %d, %q, %q", got, code, stdout, stderr)
		}
	}
	t.Run("acknowledges too early", func(t *testing.T) {
		server := natstest.Start(t, natstest.Options{Lazy: true})
		dir, env := try(t, server.URL(), server.MonitorURL(), 1)
		before := listing(t, dir)
		expect(t, supstream(t, dir, env, "check"), 3, "problem  server "+server.MonitorURL()+": the NATS server does not sync before it acknowledges\n"+
			"           fix: set sync_interval: always in its jetstream block", "")
		expect(t, supstream(t, dir, env, "run"), 1, "", "supstream: NATS server at "+server.MonitorURL()+
			": the NATS server does not sync before it acknowledges: set sync_interval: always in its jetstream block\n")
		if after := listing(t, dir); after != before {
			t.Errorf("files before:\n%safter:\n%s", before, after)
		}
	})
	server := natstest.Start(t, natstest.Options{BatchEvents: 500})
	t.Run("small batches and too few servers", func(t *testing.T) {
		dir, env := try(t, server.URL(), server.MonitorURL(), 3)
		got := supstream(t, dir, env, "check")
		expect(t, got, 3, "problem  server "+server.MonitorURL()+": allows 500 messages in a batch, capture.batch_events is 1000\n"+
			"           fix: set capture.batch_events to 500, or jetstream.limits.batch.max_msgs on every server to 1000", "")
		expect(t, got, 3, "problem  nats.replicas: 3, but nats.monitor lists 1 servers", "")
	})
	t.Run("another server's monitor", func(t *testing.T) {
		other := natstest.Start(t, natstest.Options{})
		dir, env := try(t, server.URL(), other.MonitorURL(), 1)
		expect(t, supstream(t, dir, env, "check"), 3, "which is not among nats.monitor\n           fix: list every server of the cluster", "")
		expect(t, supstream(t, dir, env, "run"), 1, "", "which is not among nats.monitor: list every server of the cluster\n")
	})
	t.Run("a stream of somebody else", func(t *testing.T) {
		other := natstest.Start(t, natstest.Options{})
		js, err := jetstream.New(other.Connect(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "DFDG_SAGER", Subjects: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
		dir, env := try(t, other.URL(), other.MonitorURL(), 1)
		expect(t, supstream(t, dir, env, "check"), 3, "problem  stream DFDG_SAGER: was not made by supstream\n           fix: delete it, or use another JetStream account", "")
		expect(t, supstream(t, dir, env, "run"), 1, "", "stream DFDG_SAGER exists but was not made by supstream: delete it, or use another JetStream account")
	})
	t.Run("nobody there", func(t *testing.T) {
		dir, env := try(t, "nats://127.0.0.1:1", "http://127.0.0.1:1", 1)
		got := supstream(t, dir, env, "check")
		expect(t, got, 1, "unknown  server http://127.0.0.1:1: ", "not everything could be looked at: 2 unknown; 0 in the way of a start")
		expect(t, got, 1, "unknown  connection: nats: no servers available for connection\n           fix: does NATS run, and is nats.url its address?", "")
	})
}
