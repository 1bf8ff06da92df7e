package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// screen writes lines, and on a terminal one line at the bottom that changes.
type screen struct {
	w        io.Writer
	terminal bool
	columns  func() int
	live     bool      // the bottom line is there
	bar      *progress // the bottom line is this
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal = true
		s.columns = func() int {
			if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 20 {
				return width
			}
			return 80
		}
	}
	return s
}

// clear removes the bottom line.
func (s *screen) clear() {
	if s.bar != nil {
		s.live, s.bar = s.live || s.bar.width > 0, nil
	}
	if s.live {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.live = false
	}
}

// line writes a line for good.
func (s *screen) line(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// fact writes a line with a name before it.
func (s *screen) fact(name, format string, args ...any) {
	s.line("  %-14s %s", name, fmt.Sprintf(format, args...))
}

// update changes the bottom line; without a terminal it writes a line for good.
func (s *screen) update(text string) {
	if !s.terminal {
		s.line("%s", text)
		return
	}
	if r := []rune(text); len(r) >= s.columns() {
		text = string(r[:s.columns()-1])
	}
	fmt.Fprintf(s.w, "\r\x1b[K%s", text)
	s.live = true
}

// passing is a bottom line that nobody misses without a terminal.
func (s *screen) passing(text string) {
	if s.terminal {
		s.update(text)
	}
}

// every is how often the view changes.
func (s *screen) every() time.Duration {
	if s.terminal {
		return 500 * time.Millisecond
	}
	return 3 * time.Second
}

// progress makes the bottom line a bar until the next clear; nil without a terminal.
func (s *screen) progress(label, unit string) *progress {
	s.clear()
	s.bar = newProgress(s.w, label, unit)
	return s.bar
}

// since is the time from a moment until now, for people.
func since(t time.Time) string { return fmt.Sprintf("%.1f s", time.Since(t).Seconds()) }

// mebibytes writes a size for people: 512 B, 3.4 KiB, 12.0 MiB.
func mebibytes(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n >= 1024 && i < len(units)-1; i++ {
		n /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}
