package streams

import (
	"bytes"
	"encoding/json"
	"fmt"

	"supstream/capture"
	"supstream/catalog"
)

// mend sends one event for each row of a repair: read with the row where the
// Bruger owns it, scope-out where others own it, delete where it is gone. What
// other receivers have of the row is not touched.
func (p *Publisher) mends(l *lane, c *capture.Change, rows []capture.Mend) error {
	p.enc.repair = true
	defer func() { p.enc.repair = false }()
	for _, m := range rows {
		op := OpDelete
		c.Op, c.Old, c.New = capture.Delete, m.Key, nil
		if m.Row != nil {
			c.Op, c.Old, c.New = capture.Read, nil, m.Row
			op = OpScopeOut
			if p.cfg.Catalog.Owners(c.Table, m.Row).Has(m.Bruger) {
				op = OpRead
			}
		}
		p.part = l.part
		if err := p.enc.begin(c); err != nil {
			return err
		}
		if err := p.event(l, m.Bruger, op); err != nil {
			return err
		}
		l.part = p.part
		if err := l.sendEvents(len(l.tx.events)); err != nil {
			return err
		}
	}
	c.Old, c.New = nil, nil
	return nil
}

// KeyRow turns the key of an event back into the texts of Postgres, as a row
// that has nothing but its key. It is an error when they would not give the
// same key again.
func (m *MirrorReader) KeyRow(t *catalog.Table, key []byte) (catalog.Row, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(key, &values); err != nil {
		return nil, fmt.Errorf("table %s: a key is not a JSON object", t)
	}
	row := make(catalog.Row, len(t.Columns))
	for _, at := range t.Key {
		text, err := keyText(t.Columns[at].Form, values[t.Columns[at].Name])
		if err != nil {
			return nil, fmt.Errorf("table %s, column %s: %w", t, t.Columns[at].Name, err)
		}
		row[at] = catalog.Value{Kind: catalog.Text, Text: text}
	}
	c := capture.Change{Table: t, Op: capture.Delete, Old: row}
	if err := m.enc.begin(&c); err != nil {
		return nil, err
	}
	if !bytes.Equal(m.enc.data[len(`"key":`):m.enc.keyEnd], key) {
		return nil, fmt.Errorf("table %s: a key cannot be turned back into what Postgres has", t)
	}
	return row, nil
}

// keyText is the inverse of appendValue for values that occur in keys.
func keyText(form catalog.Form, raw []byte) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, fmt.Errorf("the key has no value")
	}
	text := raw
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, fmt.Errorf("not a JSON string")
		}
		text = []byte(s)
	}
	switch form {
	case catalog.FormBool:
		return text[:1], nil
	case catalog.FormDate, catalog.FormTimestamp, catalog.FormTimestampTZ:
		if string(text) != "-infinity" && (bytes.HasPrefix(text, []byte("-")) || bytes.HasPrefix(text, []byte("0000"))) {
			return nil, fmt.Errorf("years before 1 are not looked up")
		}
		text = bytes.TrimPrefix(text, []byte("+"))
		if string(text) == "infinity" || string(text) == "-infinity" {
			return text, nil
		}
		text = bytes.Replace(text, []byte("T"), []byte(" "), 1)
		if form == catalog.FormTimestampTZ {
			text = append(bytes.TrimSuffix(text, []byte("Z")), "+00"...)
		}
	}
	return text, nil
}
