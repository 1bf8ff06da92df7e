// Package sinks writes deltas and full loads as files that a stranger can check and load, and reads them back.
//
// An Outbox is a tree of folders, one per chain, with a data file and a manifest for each delta. It implements projections.Sink:
//
//	key, err := sinks.LoadOrCreateKey("/etc/supstream/signing.pem")
//	outbox, err := sinks.NewOutbox(durable.OS{}, "/srv/supstream/outbox", key)
//
// A Reader is the other side. It verifies trees and applies them to a Store:
//
//	reader := sinks.Reader{Keys: keys}
//	reports, err := reader.Verify(ctx, "/data/fetched")
//	applied, err := reader.Apply(ctx, "/data/fetched", store)
//
// The contract between the two is docs/FILES.md; its examples are tests of this package.
package sinks
