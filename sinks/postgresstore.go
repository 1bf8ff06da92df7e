package sinks

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/projections"
)

// PostgresStore keeps rows in tables of a Postgres schema, one table per dataomraade and table, named <dataomraade>_<table>, with
// the columns and types that the manifests name and a column _bruger before them. Types that a plain Postgres does not know become
// text. The table supstream_chain tells how far each chain has come. One schema is for one Opgaveloeser.
type PostgresStore struct {
	conn   *pgx.Conn
	schema string
}

var _ Store = (*PostgresStore)(nil)

// NewPostgresStore makes the schema and its bookkeeping when they are not there. The connection is used by one call at a time.
func NewPostgresStore(ctx context.Context, conn *pgx.Conn, schema string) (*PostgresStore, error) {
	s := &PostgresStore{conn: conn, schema: schema}
	_, err := conn.Exec(ctx, fmt.Sprintf(`CREATE SCHEMA IF NOT EXISTS %s;
		CREATE TABLE IF NOT EXISTS %s (opgaveloeser text, bruger text, dataomraade text, version int, sequence bigint NOT NULL, sha256 text NOT NULL,
			position text NOT NULL, until timestamptz NOT NULL, PRIMARY KEY (opgaveloeser, bruger, dataomraade, version))`, quote(schema), s.table("supstream_chain")))
	if err != nil {
		return nil, fmt.Errorf("postgres store: %w", err)
	}
	return s, nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func (s *PostgresStore) table(name string) string { return pgx.Identifier{s.schema, name}.Sanitize() }

// TableName is the name of a table of an area in the schema.
func TableName(dataomraade, table string) string { return dataomraade + "_" + table }

// Applied implements Store.
func (s *PostgresStore) Applied(ctx context.Context, c projections.Chain) (Applied, error) {
	var a Applied
	var sequence int64
	err := s.conn.QueryRow(ctx, `SELECT sequence, sha256 FROM `+s.table("supstream_chain")+
		` WHERE opgaveloeser = $1 AND bruger = $2 AND dataomraade = $3 AND version = $4`, c.Opgaveloeser, c.Bruger.String(), c.Dataomraade, c.Version).
		Scan(&sequence, &a.SHA256)
	if errors.Is(err, pgx.ErrNoRows) {
		return Applied{}, nil
	}
	a.Sequence = uint64(sequence)
	return a, err
}

// Begin implements Store.
func (s *PostgresStore) Begin(ctx context.Context, c projections.Chain, m *projections.Manifest) (Load, error) {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	l := &postgresLoad{store: s, tx: tx, chain: c, manifest: m}
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(err, tx.Rollback(ctx))
	}
	return l, nil
}

// postgresLoad copies the rows of a file to a temporary table and moves them in sets at the end.
type postgresLoad struct {
	store    *PostgresStore
	tx       pgx.Tx
	chain    projections.Chain
	manifest *projections.Manifest
	staged   [][]any
}

const stage = "supstream_stage"

// stageRows is how many rows are copied at a time.
const stageRows = 2000

// plainType is a type that every Postgres knows, as format_type writes it.
var plainType = regexp.MustCompile(`^(smallint|integer|bigint|real|double precision|numeric|money|boolean|text|character|character varying|"char"|name|bpchar|oid|bytea|uuid|` +
	`date|time|timestamp|interval|json|jsonb|xml|inet|cidr|macaddr|macaddr8|bit|bit varying|tsvector|tsquery|point|line|lseg|box|path|polygon|circle|` +
	`int4range|int8range|numrange|daterange|tsrange|tstzrange)(\([0-9, ]+\))?( with(out)? time zone)?(\[\])*$`)

func (l *postgresLoad) prepare(ctx context.Context) error {
	_, err := l.tx.Exec(ctx, `CREATE TEMPORARY TABLE `+stage+` (tbl text, op text, key json, row json) ON COMMIT DROP`)
	if err != nil {
		return fmt.Errorf("temporary table: %w", err)
	}
	for i := range l.manifest.Tables {
		t := &l.manifest.Tables[i]
		name := TableName(l.manifest.Dataomraade, t.Table)
		if len(name) > 63 {
			return fmt.Errorf("table name %s is longer than the 63 bytes that Postgres keeps", name)
		}
		columns := []string{"_bruger text NOT NULL"}
		for _, c := range t.Columns {
			typ := c.Type
			if !plainType.MatchString(typ) {
				typ = "text"
			}
			columns = append(columns, quote(c.Name)+" "+typ)
		}
		columns = append(columns, "PRIMARY KEY (_bruger, "+quoted("", t.Key)+")")
		_, err := l.tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+l.store.table(name)+" ("+strings.Join(columns, ", ")+")")
		if err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	return nil
}

// quoted lists names with a prefix, quoted.
func quoted(prefix string, names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + quote(n)
	}
	return strings.Join(out, ", ")
}

// Row implements Load.
func (l *postgresLoad) Row(ctx context.Context, r *projections.Row) error {
	var row any
	if len(r.Row) > 0 {
		row = string(r.Row)
	}
	if r.Op == projections.OpTruncate {
		return nil // the manifest says so too
	}
	l.staged = append(l.staged, []any{r.Table, string(r.Op), string(r.Key), row})
	if len(l.staged) < stageRows {
		return nil
	}
	return l.flush(ctx)
}

func (l *postgresLoad) flush(ctx context.Context) error {
	_, err := l.tx.CopyFrom(ctx, pgx.Identifier{stage}, []string{"tbl", "op", "key", "row"}, pgx.CopyFromRows(l.staged))
	l.staged = l.staged[:0]
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return nil
}

// Commit implements Load.
func (l *postgresLoad) Commit(ctx context.Context, now Applied) error {
	if err := l.flush(ctx); err != nil {
		return err
	}
	for i := range l.manifest.Tables {
		if err := l.move(ctx, &l.manifest.Tables[i]); err != nil {
			return fmt.Errorf("table %s: %w", l.manifest.Tables[i].Table, err)
		}
	}
	_, err := l.tx.Exec(ctx, `INSERT INTO `+l.store.table("supstream_chain")+` VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (opgaveloeser, bruger, dataomraade, version) DO UPDATE
		SET sequence = excluded.sequence, sha256 = excluded.sha256, position = excluded.position, until = excluded.until`,
		l.chain.Opgaveloeser, l.chain.Bruger.String(), l.chain.Dataomraade, l.chain.Version, int64(now.Sequence), now.SHA256,
		l.manifest.To.Position, l.manifest.Period.End)
	if err != nil {
		return fmt.Errorf("bookkeeping: %w", err)
	}
	return l.tx.Commit(ctx)
}

// move applies the staged rows of one table: what is replaced or gone leaves, then what is there enters.
func (l *postgresLoad) move(ctx context.Context, t *projections.TableContents) error {
	name := l.store.table(TableName(l.manifest.Dataomraade, t.Table))
	bruger := l.chain.Bruger.String()
	if l.manifest.Kind.Replaces() || t.Rows.T > 0 {
		if _, err := l.tx.Exec(ctx, `DELETE FROM `+name+` WHERE _bruger = $1`, bruger); err != nil {
			return err
		}
	}
	if t.Rows.Sum() == t.Rows.T {
		return nil
	}
	same := make([]string, len(t.Key))
	for i, k := range t.Key {
		same[i] = "have." + quote(k) + " = gone." + quote(k)
	}
	_, err := l.tx.Exec(ctx, `DELETE FROM `+name+` have USING `+stage+` s, json_populate_record(NULL::`+name+`, s.key) gone
		WHERE s.tbl = $1 AND have._bruger = $2 AND `+strings.Join(same, " AND "), t.Table, bruger)
	if err != nil {
		return err
	}
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	_, err = l.tx.Exec(ctx, `INSERT INTO `+name+` (_bruger, `+quoted("", names)+`) SELECT $1, `+quoted("r.", names)+
		` FROM `+stage+` s, json_populate_record(NULL::`+name+`, s.row) r WHERE s.tbl = $2 AND s.op IN ('I', 'U')`, bruger, t.Table)
	return err
}

// Rollback implements Load.
func (l *postgresLoad) Rollback(ctx context.Context) error {
	if err := l.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}
