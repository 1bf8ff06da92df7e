package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// wire reads the fields of one pgoutput message. After the first field that is
// not there every further one is zero and err is set, so that a message is
// checked once, at its end.
type wire struct {
	b   []byte
	err error
}

var errShort = errors.New("message is cut short")

func (w *wire) take(n int) []byte {
	if n < 0 || n > len(w.b) {
		w.b, w.err = nil, errShort
		return nil
	}
	p := w.b[:n]
	w.b = w.b[n:]
	return p
}

func (w *wire) byte() byte {
	if p := w.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (w *wire) uint16() uint16 {
	if p := w.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (w *wire) uint32() uint32 {
	if p := w.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (w *wire) uint64() uint64 {
	if p := w.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// time reads microseconds since 2000-01-01.
func (w *wire) time() time.Time {
	const epoch = 946684800 // 2000-01-01 in Unix seconds
	us := int64(w.uint64())
	return time.Unix(epoch+us/1e6, us%1e6*1e3).UTC()
}

// text reads a string that ends with a zero byte.
func (w *wire) text() string {
	for i, c := range w.b {
		if c == 0 {
			s := string(w.b[:i])
			w.b = w.b[i+1:]
			return s
		}
	}
	w.b, w.err = nil, errShort
	return ""
}

// end is the error of the message: something was missing, or left over.
func (w *wire) end() error {
	if w.err == nil && len(w.b) != 0 {
		return fmt.Errorf("message has %d bytes too many", len(w.b))
	}
	return w.err
}
