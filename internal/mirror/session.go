package mirror

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// session runs statements with values in text form, so that every type is written and read alike.
type session struct{ conn *pgx.Conn }

func (db session) query(ctx context.Context, sql string, args ...value) ([][]value, error) {
	result := db.conn.PgConn().ExecParams(ctx, sql, params(args), nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	rows := make([][]value, len(result.Rows))
	for i, r := range result.Rows {
		rows[i] = make([]value, len(r))
		for j, b := range r {
			rows[i][j] = value{s: string(b), null: b == nil}
		}
	}
	return rows, nil
}

// exec returns how many rows the statement changed.
func (db session) exec(ctx context.Context, sql string, args ...value) (int64, error) {
	result := db.conn.PgConn().ExecParams(ctx, sql, params(args), nil, nil, nil).Read()
	return result.CommandTag.RowsAffected(), result.Err
}

func params(args []value) [][]byte {
	if len(args) == 0 {
		return nil
	}
	p := make([][]byte, len(args))
	for i, a := range args {
		if !a.null {
			p[i] = []byte(a.s)
		}
	}
	return p
}
