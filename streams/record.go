package streams

import (
	"encoding/json"
	"fmt"
	"time"

	"supstream/capture"
)

// A position record is the last message of every batch, on the stream's
// position subject. It replaces the one before it, never expires, and holds no
// personal data: where a writer resumes and where a reader may cut.
type positionRecord struct {
	Position    capture.Position `json:"position"`
	Time        time.Time        `json:"time"` // Postgres' clock
	Incarnation string           `json:"incarnation"`
	Events      int              `json:"events"` // in this batch
	Loading     bool             `json:"loading,omitempty"`
	Held        json.RawMessage  `json:"held,omitempty"` // in DriftStream: a list of keptArea
}

// appendTo writes the record by hand: it ends every batch.
func (r positionRecord) appendTo(b []byte) []byte {
	b = append(b, `{"position":"`...)
	b = r.Position.Append(b)
	b = append(b, `","time":"`...)
	b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","incarnation":"`...)
	b = append(b, r.Incarnation...)
	b = fmt.Appendf(b, `","events":%d`, r.Events)
	if r.Loading {
		b = append(b, `,"loading":true`...)
	}
	if len(r.Held) > 0 {
		b = append(append(b, `,"held":`...), r.Held...)
	}
	return append(b, '}')
}

func parsePositionRecord(b []byte) (positionRecord, error) {
	var r positionRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("position record: %w", err)
	}
	if r.Incarnation == "" || r.Time.IsZero() {
		return r, fmt.Errorf("position record: incarnation or time is missing")
	}
	return r, nil
}

// A loadRecord is the progress of a table's back-fill. It travels in the same
// batch as the rows it speaks of. Its key values are row content: the subject
// is internal and no vendor can read it.
type loadRecord struct {
	Table string   `json:"table"`
	After []string `json:"after,omitempty"` // key of the last row read
	Rows  int64    `json:"rows"`
	Done  bool     `json:"done"`
	Reset bool     `json:"reset,omitempty"` // receivers' rows are still to be taken away
	Part  uint32   `json:"part"`            // parts used up in the area's read events

	OID    uint32 `json:"oid,omitempty"` // see capture.LoadState
	Member uint32 `json:"member,omitempty"`
	Shape  string `json:"shape,omitempty"`
}

func (r *loadRecord) state() capture.LoadState {
	return capture.LoadState{After: r.After, Rows: r.Rows, Done: r.Done, Reset: r.Reset, OID: r.OID, Member: r.Member, Shape: r.Shape}
}

func (r *loadRecord) set(s capture.LoadState) {
	r.After, r.Rows, r.Done, r.Reset, r.OID, r.Member, r.Shape = s.After, s.Rows, s.Done, s.Reset, s.OID, s.Member, s.Shape
}
