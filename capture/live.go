package capture

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// ReadTable describes a table of the mirror as it is; nil if there is none.
func ReadTable(ctx context.Context, conn *pgx.Conn, t *catalog.Table) (*catalog.LiveTable, error) {
	live := &catalog.LiveTable{}
	var oid uint32
	var identity, index string
	err := conn.QueryRow(ctx, `
		SELECT c.oid, c.relreplident::text,
		       coalesce((SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident), '')
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`, t.Schema, t.Name).Scan(&oid, &identity, &index)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		live.Columns, err = readColumns(ctx, conn, oid)
	}
	if err == nil {
		live.Key, err = readIndexColumns(ctx, conn, oid, "i.indisprimary")
	}
	if err == nil {
		live.Identity = identityName(identity[0])
		err = readIdentityColumns(ctx, conn, oid, live)
	}
	if live.Identity == "index" {
		live.Identity = "index:" + index
	}
	if err != nil {
		return nil, fmt.Errorf("describe table %s: %w", t, err)
	}
	return live, nil
}

// readIdentityColumns lists the columns of the index that is the table's
// replica identity, if one is.
func readIdentityColumns(ctx context.Context, conn *pgx.Conn, oid uint32, live *catalog.LiveTable) (err error) {
	switch live.Identity {
	case "default":
		// A deferrable primary key is none to Postgres.
		live.IdentityColumns, err = readIndexColumns(ctx, conn, oid, "i.indisprimary AND i.indimmediate")
	case "index":
		live.IdentityColumns, err = readIndexColumns(ctx, conn, oid, "i.indisreplident")
	}
	return err
}

func readColumns(ctx context.Context, conn *pgx.Conn, oid uint32) ([]catalog.LiveColumn, error) {
	rows, err := conn.Query(ctx, `
		SELECT attname, format_type(atttypid, atttypmod), attnotnull, attgenerated <> ''
		FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[catalog.LiveColumn])
}

// readIndexColumns lists the columns of the table's index that fits the
// condition, in the order of the index; none if there is no such index.
func readIndexColumns(ctx context.Context, conn *pgx.Conn, oid uint32, condition string) ([]string, error) {
	rows, err := conn.Query(ctx, `
		SELECT a.attname
		FROM pg_index i, unnest(i.indkey::int[]) WITH ORDINALITY k(attnum, at), pg_attribute a
		WHERE i.indrelid = $1 AND a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.at <= i.indnkeyatts AND `+condition+`
		ORDER BY k.at`, oid)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// CheckTables compares every table that leaves with the mirror.
func CheckTables(ctx context.Context, conn *pgx.Conn, c *catalog.Catalog) ([]*catalog.DriftError, error) {
	var found []*catalog.DriftError
	for _, t := range published(c) {
		live, err := ReadTable(ctx, conn, t)
		if err != nil {
			return nil, err
		}
		found = append(found, catalog.Check(t, live)...)
	}
	return found, nil
}
