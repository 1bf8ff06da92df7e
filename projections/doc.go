// Package projections folds ranges of the event streams to the last state of each row, at the pace that each dataomraade is
// delivered, and hands the result to a Sink.
//
// A chain is what one Opgaveloeser receives of one dataomraade for one Bruger: full loads and deltas that follow each other
// without a gap. Its newest manifest is the only record of how far it has come. A range ends where a streams.Mark says that
// everything before a commit position is there; all areas that are due together end at the same position.
//
//	Source ──events──▶ Compactor ──Fold──▶ Delta ──▶ Sink        per chain: what changed
//	                                └────▶ Base ──▶ Delta ──▶ Sink        full loads: what is there
//
// A delta is a pure function of the range of the stream and the catalogue: folded again it has the same rows in the same order.
// The Base is the fold of everything from the start of a stream, kept in files of the projector so that a new chain can begin
// with a full load at once.
package projections
