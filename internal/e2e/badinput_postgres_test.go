package e2e

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"supstream/internal/pgtest"
)

// badMirror is a mirror that cannot be captured as it is.
type badMirror struct {
	name     string
	prepare  string // SQL by the superuser; $ stands for the name of role, slot and publication
	role     string // attributes of the role that supstream logs in as; empty: the superuser
	run      []string
	check    []string // texts of problems, in order
	fixes    bool     // the problems' fixes are SQL: run, they leave nothing to find
	captures bool     // supstream could work, so run is not tried
}

func badMirrors() []badMirror {
	const login = "LOGIN REPLICATION PASSWORD 'pw'"
	const granted = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO $;"
	const publish = "CREATE PUBLICATION supstream FOR TABLE sag, kode WITH (publish_via_partition_root = true);"
	return []badMirror{
		{
			name: "identity nothing", prepare: "ALTER TABLE sag REPLICA IDENTITY NOTHING", fixes: true,
			run:   []string{`table public.sag has replica identity nothing, want full: ALTER TABLE "public"."sag" REPLICA IDENTITY FULL`},
			check: []string{"table public.sag has replica identity nothing, want full"},
		}, {
			name: "identity without the owner's column", prepare: "ALTER TABLE sag REPLICA IDENTITY DEFAULT", fixes: true,
			run:   []string{`table public.sag has replica identity default, want full`},
			check: []string{"table public.sag has replica identity default, want full"},
		}, {
			name: "deferrable primary key", prepare: "ALTER TABLE kode DROP CONSTRAINT kode_pkey, ADD PRIMARY KEY (kode) DEFERRABLE",
			run:   []string{`table public.kode has replica identity default without a primary key that is not deferrable, want default: ALTER TABLE "public"."kode" REPLICA IDENTITY FULL`},
			check: []string{"table public.kode has replica identity default without a primary key that is not deferrable, want default"},
		}, {
			name: "partition without identity",
			prepare: `DROP TABLE sag; CREATE TABLE sag (id bigint PRIMARY KEY, kommune text NOT NULL, tekst text) PARTITION BY RANGE (id);
				ALTER TABLE sag REPLICA IDENTITY FULL; CREATE TABLE sag_1 PARTITION OF sag FOR VALUES FROM (0) TO (1000)`, fixes: true,
			run:   []string{"partition sag_1 of table public.sag has replica identity default, want full: ALTER TABLE sag_1 REPLICA IDENTITY FULL"},
			check: []string{"partition sag_1 of table public.sag has replica identity default, want full"},
		}, {
			name: "column missing", prepare: "ALTER TABLE sag DROP COLUMN tekst",
			run:   []string{"table public.sag has no column tekst: restore it or take it out of the catalogue"},
			check: []string{"table public.sag has no column tekst"},
		}, {
			name: "other type", prepare: "ALTER TABLE kode ALTER navn TYPE varchar(10)",
			run:   []string{"table public.kode, column navn is character varying(10), the catalogue says text: change the catalogue and raise the area's version"},
			check: []string{"table public.kode, column navn is character varying(10), the catalogue says text"},
		}, {
			name: "table missing", prepare: "DROP TABLE kode",
			run:   []string{"table public.kode is not in the database: create it or take it out of the catalogue"},
			check: []string{"table public.kode is not in the database"},
		}, {
			name: "role without REPLICATION", role: "LOGIN PASSWORD 'pw'", prepare: granted + publish, fixes: true,
			run:   []string{`role "$": may not replicate: ALTER ROLE "$" REPLICATION`},
			check: []string{"may not replicate"},
		}, {
			name: "role without SELECT", role: login, prepare: "GRANT SELECT ON kode TO $;" + publish, fixes: true,
			run:   []string{`role "$": may not read "public"."sag": GRANT SELECT ON "public"."sag" TO "$"`},
			check: []string{`may not read "public"."sag"`},
		}, {
			name: "role without a column", role: login, prepare: "GRANT SELECT ON kode TO $; GRANT SELECT (id, kommune) ON sag TO $;" + publish, fixes: true,
			run:   []string{`role "$": may not read "public"."sag"`},
			check: []string{`may not read "public"."sag"`},
		}, {
			name: "rows hidden from the role", role: login, prepare: granted + publish + "ALTER TABLE sag ENABLE ROW LEVEL SECURITY", fixes: true,
			run:   []string{`role "$": row-level security hides rows of "public"."sag": ALTER ROLE "$" BYPASSRLS`},
			check: []string{`row-level security hides rows of "public"."sag"`},
		}, {
			name: "role that cannot make the publication", role: login, prepare: granted,
			run:   []string{"create publication supstream: ", "the owner of the tables can make it; `supstream check` prints the statement"},
			check: []string{`is made at the first start, but role "$" has not the right to do it`},
		}, {
			name: "role that cannot complete the publication", role: login,
			prepare: granted + "CREATE PUBLICATION supstream FOR TABLE sag WITH (publish_via_partition_root = true)",
			run:     []string{"add table public.kode to publication supstream: "},
			check:   []string{`1 tables are added at the start, but role "$" has not the right to do it`},
		}, {
			name: "publication with a row filter", prepare: "CREATE PUBLICATION supstream FOR TABLE sag WHERE (id > 5), kode WITH (publish_via_partition_root = true)",
			run:   []string{"publication supstream: has a row filter or a column list on sag: drop the table from it and add it again without"},
			check: []string{"has a row filter or a column list on sag"},
		}, {
			name: "publication without deletes", prepare: "CREATE PUBLICATION supstream FOR TABLE sag, kode WITH (publish = 'insert, update')", fixes: true,
			run:   []string{"publication supstream: leaves out inserts, updates, deletes or truncates"},
			check: []string{"leaves out inserts, updates, deletes or truncates", "shows partitions instead of their table"},
		}, {
			name: "publication that stops the owner's updates", prepare: "CREATE TABLE anden (x int);" + publish + "ALTER PUBLICATION supstream ADD TABLE anden", captures: true,
			check: []string{"holds anden, which has no replica identity: Postgres refuses every UPDATE and DELETE of it"},
		}, {
			name: "slot of somebody else", prepare: "SELECT pg_create_logical_replication_slot('$', 'test_decoding')",
			run:   []string{`slot $: belongs to plug-in "test_decoding" and database "$": choose another postgres.slot`},
			check: []string{`belongs to plug-in "test_decoding" and database "$"`},
		},
	}
}

// checkResult is the JSON of check.
type checkResult struct {
	OK       bool
	Findings []struct{ Part, Level, Subject, Text, Fix string }
}

func (r checkResult) level(level string) (texts, fixes []string) {
	for _, f := range r.Findings {
		if f.Level == level {
			texts, fixes = append(texts, f.Text), append(fixes, f.Fix)
		}
	}
	return texts, fixes
}

// checkJSON runs check and wants an exit code.
func checkJSON(t *testing.T, dir string, env []string, code int) checkResult {
	t.Helper()
	got := supstream(t, dir, env, "check", "--json")
	var r checkResult
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil || got.code != code {
		t.Fatalf("check: want exit code %d, got %+v, %v", code, got, err)
	}
	if r.OK != (code == 0) {
		t.Errorf("check says ok %t and exits %d", r.OK, code)
	}
	return r
}

const superPassword = "overbruger-hemmelig"

// TestBadMirrors: a mirror that cannot be captured is refused by run and by check with what helps, and is left as it was.
func TestBadMirrors(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	pg := pgtest.NewWith(t, pgtest.Options{Password: superPassword, NoSync: true})
	exec := func(t *testing.T, db, sql string) {
		t.Helper()
		if err := pg.Exec(ctx, db, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(t, "postgres", "CREATE DATABASE small")
	exec(t, "small", smallDDL(t))
	for _, m := range badMirrors() {
		t.Run(m.name, func(t *testing.T) {
			db := "m_" + strings.NewReplacer(" ", "_", "'", "").Replace(strings.ToLower(m.name))
			named := func(s string) string { return strings.ReplaceAll(s, "$", db) }
			exec(t, "postgres", "CREATE DATABASE "+db+" TEMPLATE small")
			conn := pg.URL(db)
			if m.role != "" {
				exec(t, "postgres", "CREATE ROLE "+db+" "+m.role)
				u, err := url.Parse(conn)
				if err != nil {
					t.Fatal(err)
				}
				u.User = url.UserPassword(db, "pw")
				conn = u.String()
			}
			exec(t, db, named(m.prepare))
			dir, env := smallFolder(t, db, ""), []string{"SUPSTREAM_POSTGRES_URL=" + conn}
			before := listing(t, dir)

			r := checkJSON(t, dir, env, 3)
			texts, fixes := r.level("problem")
			for i, want := range m.check {
				if i >= len(texts) || !strings.Contains(texts[i], named(want)) || fixes[i] == "" {
					t.Errorf("check: want %q and a fix, got %q with fixes %q", named(want), texts, fixes)
				}
			}
			if len(texts) != len(m.check) {
				t.Errorf("check: got %q", texts)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("check changed files:\n%s\n%s", before, after)
			}
			if !m.captures {
				made := state(ctx, t, pg, db)
				got := supstream(t, dir, env, "run")
				for _, want := range m.run {
					if got.code != 1 || !strings.Contains(got.stderr, named(want)) {
						t.Errorf("run: got exit code %d and\n%s\nwant %s", got.code, last(got.stderr), named(want))
					}
				}
				if now := state(ctx, t, pg, db); now != made {
					t.Errorf("run made %s, there was %s", now, made)
				}
			}
			if m.fixes {
				for _, fix := range fixes {
					exec(t, db, fix)
				}
				checkJSON(t, dir, env, 0)
			}
		})
	}
	t.Run("encoding", func(t *testing.T) {
		exec(t, "postgres", "CREATE DATABASE sql_ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
		exec(t, "sql_ascii", smallDDL(t))
		refused(t, []string{"SUPSTREAM_POSTGRES_URL=" + pg.URL("sql_ascii")}, 3,
			"server_encoding: SQL_ASCII: the mirror's database must be made with ENCODING 'UTF8'",
			"server_encoding: SQL_ASCII\n           fix: the mirror's database must be made with ENCODING 'UTF8'")
	})
	t.Run("wrong password", func(t *testing.T) {
		wrong := strings.Replace(pg.URL("small"), superPassword, "forkert-hemmelig", 1)
		refused(t, []string{"SUPSTREAM_POSTGRES_URL=" + wrong}, 3,
			`password authentication failed for user "postgres" (SQLSTATE 28P01): set the password in postgres.password_file or SUPSTREAM_POSTGRES_PASSWORD`,
			"fix: set the password in postgres.password_file or SUPSTREAM_POSTGRES_PASSWORD")
	})
	t.Run("unknown database", func(t *testing.T) {
		refused(t, []string{"SUPSTREAM_POSTGRES_URL=" + pg.URL("findes_ikke")}, 3,
			`database "findes_ikke" does not exist (SQLSTATE 3D000): is the database in postgres.url the mirror?`,
			"fix: is the database in postgres.url the mirror?")
	})
	t.Run("nobody there", func(t *testing.T) {
		got := supstream(t, smallFolder(t, "s", ""), []string{"SUPSTREAM_POSTGRES_URL=postgres://postgres:hemmelig@127.0.0.1:1/x"}, "check")
		if got.code != 1 || !strings.Contains(got.stdout, "  unknown  connection: ") || !strings.Contains(got.stdout, "connection refused") || strings.Contains(got.stdout+got.stderr, "hemmelig") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("no url", func(t *testing.T) {
		for _, command := range []string{"run", "check"} {
			got := supstream(t, smallFolder(t, "s", ""), nil, command)
			if got.code != 2 || !strings.Contains(got.stderr, "postgres.url is missing: set it in the configuration, or as SUPSTREAM_POSTGRES_URL") {
				t.Errorf("%s: got %+v", command, got)
			}
		}
	})
}

// TestWALLevel: a server that writes too little into its log is refused, and nothing is made in it.
func TestWALLevel(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pg := pgtest.NewWith(t, pgtest.Options{NoSync: true, Settings: map[string]string{"wal_level": "replica"}})
	if err := pg.Exec(ctx, "postgres", smallDDL(t)); err != nil {
		t.Fatal(err)
	}
	before := state(ctx, t, pg, "postgres")
	refused(t, []string{"SUPSTREAM_POSTGRES_URL=" + pg.URL("postgres")}, 3,
		"wal_level: replica: ALTER SYSTEM SET wal_level = 'logical', then restart Postgres",
		"problem  wal_level: replica\n           fix: ALTER SYSTEM SET wal_level = 'logical', then restart Postgres")
	if after := state(ctx, t, pg, "postgres"); after != before {
		t.Errorf("run made %s", after)
	}
}

// refused runs check and run in a new folder: both must fail with a text, without showing a password.
func refused(t *testing.T, env []string, code int, run, check string) {
	t.Helper()
	dir := smallFolder(t, "s", "")
	got := supstream(t, dir, env, "check")
	if got.code != code || !strings.Contains(got.stdout, check) {
		t.Errorf("check: got exit code %d and\n%s\nwant %s", got.code, got.stdout, check)
	}
	ended := supstream(t, dir, env, "run", "--log-level", "debug")
	if ended.code != 1 || !strings.Contains(ended.stderr, run) {
		t.Errorf("run: got exit code %d and\n%s\nwant %s", ended.code, ended.stderr, run)
	}
	if strings.Contains(got.stdout+got.stderr+ended.stdout+ended.stderr, "hemmelig") {
		t.Errorf("the password is shown:\n%s%s%s", got.stdout, got.stderr, ended.stderr)
	}
}

// state is what supstream could have made in a database.
func state(ctx context.Context, t *testing.T, pg *pgtest.Server, db string) string {
	t.Helper()
	rows, err := pg.Query(ctx, db, `SELECT
		(SELECT coalesce(string_agg(slot_name || ' ' || plugin, ', ' ORDER BY 1), 'no slot') FROM pg_replication_slots WHERE database = current_database()) || '; ' ||
		coalesce((SELECT string_agg(pubname || ' ' || tablename, ', ' ORDER BY pubname, tablename) FROM pg_publication_tables), 'no publication')`)
	if err != nil {
		t.Fatal(err)
	}
	return rows[0][0]
}

// last is the last lines of a log.
func last(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-6):], "\n")
}
