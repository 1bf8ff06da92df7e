package main

import (
	"io"
	"log/slog"
)

// newLogger writes to w as the configuration says. The configuration has been checked, so unknown words do not reach it.
func newLogger(w io.Writer, c Log) *slog.Logger {
	var level slog.Level // info
	_ = level.UnmarshalText([]byte(c.Level))
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
