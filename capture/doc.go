// Package capture reads the changes of a Postgres mirror by logical
// replication and hands them, in commit order, to a Publisher.
//
//	connection ──▶ receiver ──▶ queue ──▶ pump ──▶ Publisher
//	                                       ▲ decoder (pgoutput → Change)
//	                    back-fill chunks ──┘
//
// The receiver owns the replication connection and answers the server whatever
// the publisher does. The pump decodes and publishes. A back-fill reads tables
// in chunks beside them; each chunk is ordered against the live changes by its
// snapshot. Postgres is told that a position is durable only after the
// publisher says so; there is no other record of progress than the
// destination itself.
//
// Columns and tables that the catalogue does not list end here. Values pass as
// the text that Postgres writes under pinned settings.
package capture
