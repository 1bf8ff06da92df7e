package pgtest

import (
	"context"
	"time"
)

// TB is the part of testing.TB that New needs; this package is linked into the command, package testing is not.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// New starts a server for a test and closes it at the end. A test that failed shows the end of the server's log.
func New(t TB) *Server {
	t.Helper()
	return NewWith(t, Options{})
}

// NewWith is New with options.
func NewWith(t TB, opts Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Start(ctx, opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of the log of postgres: %s", logAfter(s.Log(), 0))
		}
		if err := s.Close(); err != nil {
			t.Logf("close postgres: %v", err)
		}
	})
	return s
}
