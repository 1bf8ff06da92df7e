package catalog

import (
	"regexp"
	"strings"
)

// typeAliases maps the names of built-in types to those that Postgres' own
// format_type uses. A # marks where the modifier, such as (3), goes.
var typeAliases = map[string]string{
	"smallint": "smallint", "int2": "smallint", "smallserial": "smallint",
	"integer": "integer", "int": "integer", "int4": "integer", "serial": "integer",
	"bigint": "bigint", "int8": "bigint", "bigserial": "bigint",
	"numeric": "numeric#", "decimal": "numeric#", "money": "money",
	"real": "real", "float4": "real",
	"double precision": "double precision", "float8": "double precision", "float": "double precision",
	"boolean": "boolean", "bool": "boolean",
	"text": "text", "character varying": "character varying#", "varchar": "character varying#",
	"character": "character#", "char": "character#", "bpchar": "bpchar",
	"uuid": "uuid", "bytea": "bytea", "json": "json", "jsonb": "jsonb", "xml": "xml",
	"date": "date", "interval": "interval#",
	"timestamp": "timestamp# without time zone", "timestamp without time zone": "timestamp# without time zone",
	"timestamptz": "timestamp# with time zone", "timestamp with time zone": "timestamp# with time zone",
	"time": "time# without time zone", "time without time zone": "time# without time zone",
	"timetz": "time# with time zone", "time with time zone": "time# with time zone",
	"bit": "bit#", "bit varying": "bit varying#", "varbit": "bit varying#",
	"inet": "inet", "cidr": "cidr", "macaddr": "macaddr", "oid": "oid",
}

var (
	typeText  = regexp.MustCompile(`^[\pL_"][\pL\pN_ ."]*(\([\pL\pN_ ,]*\))?[\pL ]*(\[\])*$`)
	typeParts = regexp.MustCompile(`^([^(\[]*)(?:\(([^)]*)\))?([^\[]*)((?:\[\])*)$`)
)

// canonicalType writes a type as format_type does: "varchar(80)" becomes
// "character varying(80)". A type that is not built in is left as written.
func canonicalType(s string) string {
	m := typeParts.FindStringSubmatch(s)
	if m == nil {
		return s
	}
	base := strings.ToLower(strings.Join(strings.Fields(m[1]+" "+m[3]), " "))
	modifier, dims := strings.ReplaceAll(m[2], " ", ""), m[4]
	pattern, known := typeAliases[base]
	if !known {
		return s
	}
	switch {
	case modifier == "" && (pattern == "character#" || pattern == "bit#"):
		modifier = "1"
	case modifier != "" && pattern == "numeric#" && !strings.Contains(modifier, ","):
		modifier += ",0"
	}
	if modifier != "" {
		modifier = "(" + modifier + ")"
	}
	before, after, _ := strings.Cut(pattern, "#")
	return before + modifier + after + dims
}

// formOf tells how the values of a canonical type become JSON.
func formOf(canonical string) Form {
	base, _, _ := strings.Cut(canonical, "(")
	switch {
	case strings.HasSuffix(canonical, "]"):
		return FormString
	case strings.HasPrefix(canonical, "timestamp") && strings.HasSuffix(canonical, " with time zone"):
		return FormTimestampTZ
	case strings.HasPrefix(canonical, "timestamp") && strings.HasSuffix(canonical, " without time zone"):
		return FormTimestamp
	}
	switch base {
	case "smallint", "integer":
		return FormInt
	case "bigint":
		return FormBigInt
	case "numeric", "money":
		return FormNumeric
	case "real", "double precision":
		return FormFloat
	case "boolean":
		return FormBool
	case "json", "jsonb":
		return FormJSON
	case "date":
		return FormDate
	}
	return FormString
}
