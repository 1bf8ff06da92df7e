package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"supstream/catalog"
)

// The wanted types are what format_type of Postgres writes.
func TestTypes(t *testing.T) {
	tests := []struct {
		in, want string
		form     catalog.Form
	}{
		{"smallint", "smallint", catalog.FormInt},
		{"int2", "smallint", catalog.FormInt},
		{"INTEGER", "integer", catalog.FormInt},
		{"int", "integer", catalog.FormInt},
		{"serial", "integer", catalog.FormInt},
		{"bigint", "bigint", catalog.FormBigInt},
		{"bigserial", "bigint", catalog.FormBigInt},
		{"numeric", "numeric", catalog.FormNumeric},
		{"numeric(7, 2)", "numeric(7,2)", catalog.FormNumeric},
		{"decimal(7)", "numeric(7,0)", catalog.FormNumeric},
		{"money", "money", catalog.FormNumeric},
		{"real", "real", catalog.FormFloat},
		{"float8", "double precision", catalog.FormFloat},
		{"bool", "boolean", catalog.FormBool},
		{"json", "json", catalog.FormJSON},
		{"jsonb", "jsonb", catalog.FormJSON},
		{"date", "date", catalog.FormDate},
		{"timestamp", "timestamp without time zone", catalog.FormTimestamp},
		{"timestamp(3)", "timestamp(3) without time zone", catalog.FormTimestamp},
		{"timestamptz", "timestamp with time zone", catalog.FormTimestampTZ},
		{"timestamptz(0)", "timestamp(0) with time zone", catalog.FormTimestampTZ},
		{"timestamp (3) with time zone", "timestamp(3) with time zone", catalog.FormTimestampTZ},
		{"time", "time without time zone", catalog.FormString},
		{"varchar(80)", "character varying(80)", catalog.FormString},
		{"varchar", "character varying", catalog.FormString},
		{"char(10)", "character(10)", catalog.FormString},
		{"char", "character(1)", catalog.FormString},
		{"bit", "bit(1)", catalog.FormString},
		{"text", "text", catalog.FormString},
		{"uuid", "uuid", catalog.FormString},
		{"interval", "interval", catalog.FormString},
		{"text[]", "text[]", catalog.FormString},
		{"int4[]", "integer[]", catalog.FormString},
		{"varchar(80)[]", "character varying(80)[]", catalog.FormString},
		{"timestamptz[]", "timestamp with time zone[]", catalog.FormString},
		{"geometry(Point,4326)", "geometry(Point,4326)", catalog.FormString},
		{`sager."Sags type"`, `sager."Sags type"`, catalog.FormString},
	}
	for _, tt := range tests {
		text := strings.Replace(areaYAML, "type: text", fmt.Sprintf("type: '%s'", tt.in), 1)
		c := load(t, map[string]string{"brugere.yaml": brugereYAML, "a.yaml": text})
		table, _ := c.Table("public", "samtale")
		if got := table.Columns[5]; got.Type != tt.want || got.Form != tt.form {
			t.Errorf("%s: type %s, form %d; want %s, %d", tt.in, got.Type, got.Form, tt.want, tt.form)
		}
	}
}
