// Package streams keeps the events of each dataområde in a JetStream stream of
// its own: it routes changes to the authorities that own the rows, writes them
// as CloudEvents in fenced atomic batches, and reads ranges of them back.
// docs/EVENTS.md is the contract with those who subscribe.
//
// A batch is whole transactions, and its last message is the stream's position
// record: where a writer resumes, and a mark at which readers may cut. The
// first message of a batch states the sequence that the stream must have
// reached. So there is no gap, no duplicate and no second writer, without a
// table of offsets and without message ids.
//
//	Topology   the streams that a catalogue needs
//	Publisher  writes; implements capture.Publisher
//	Reader     reads; the source of projections
//	Embedded   a NATS server inside the process, which syncs before it acknowledges
package streams
