// Package catalog says what the data is and whose it is.
//
// A catalogue is a folder of YAML files: one file per dataområde (a delimited
// area of data: the unit of agreement, schedule, stream and schema version)
// and one file, brugere.yaml, with the authorities that may receive rows. It
// is an allow-list: a table or a column that the catalogue does not name is
// never carried. docs/CATALOG.md is the contract of the files.
//
//	c, err := catalog.Default() // the DFDG catalogue that the product ships
//	t, ok := c.Table("public", "samtale")
//	before, after := c.Route(t, oldRow, newRow)
//
// The legal nouns are Danish, everything else is English:
//
//   - dataområde (Dataomraade): a delimited area of data.
//   - Bruger: an authority that receives rows, a kommune or an a-kasse; never
//     a login. The pseudo-Bruger Alle stands for reference data that every
//     authority may have.
//   - kommune: a municipality, known by its kommunekode ("751").
//   - a-kasse (Akasse): an unemployment insurance fund, known by its code.
//
// A Catalog is immutable and safe for concurrent use.
package catalog
