package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress draws one line on a terminal and redraws it in place. A nil *progress, which is what newProgress gives when the output is no
// terminal, does nothing. It is not safe for concurrent use.
type progress struct {
	w     io.Writer
	label string
	unit  string // what is counted: rows
	now   func() time.Time

	begun, drawn time.Time
	width        int // of the line on the screen
}

const (
	progressEvery = 100 * time.Millisecond
	progressBar   = 24
)

// newProgress is nil when w is no terminal: logs and pipes get no bar.
func newProgress(w io.Writer, label, unit string) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &progress{w: w, label: label, unit: unit, now: time.Now}
}

// set draws how far it is. A total of zero means that it is not known.
func (p *progress) set(done, total int64) {
	if p == nil {
		return
	}
	now := p.now()
	if p.begun.IsZero() {
		p.begun = now
	}
	if now.Sub(p.drawn) < progressEvery && done != total {
		return
	}
	p.drawn = now
	p.draw(p.line(done, total, now.Sub(p.begun)))
}

// finish ends the line, so that what follows starts on the next.
func (p *progress) finish() {
	if p == nil || p.width == 0 {
		return
	}
	fmt.Fprintln(p.w)
	p.width = 0
}

func (p *progress) draw(line string) {
	width := len([]rune(line))
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-width)))
	p.width = width
}

func (p *progress) line(done, total int64, spent time.Duration) string {
	var b strings.Builder
	b.WriteString(p.label)
	if total > 0 {
		share := min(float64(done)/float64(total), 1)
		full := int(share * progressBar)
		fmt.Fprintf(&b, " [%s%s] %3.0f%%", strings.Repeat("█", full), strings.Repeat("·", progressBar-full), 100*share)
	}
	fmt.Fprintf(&b, " %s", thousands(done))
	if total > 0 {
		fmt.Fprintf(&b, "/%s", thousands(total))
	}
	fmt.Fprintf(&b, " %s", p.unit)
	if rate := float64(done) / spent.Seconds(); spent > 0 && rate > 0 {
		fmt.Fprintf(&b, ", %s/s", thousands(int64(rate)))
		if total > done {
			left := time.Duration(float64(total-done) / rate * float64(time.Second))
			fmt.Fprintf(&b, ", %s left", left.Round(time.Second))
		}
	}
	return b.String()
}

// thousands writes a number in groups of three: 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(s, "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return s[:len(s)-len(strings.TrimPrefix(s, "-"))] + digits
}
