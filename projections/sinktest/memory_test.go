package sinktest

import (
	"testing"

	"supstream/projections"
)

func TestMemory(t *testing.T) {
	m := NewMemory()
	Run(t, m, func(_ *testing.T, c projections.Chain) [][]string {
		var out [][]string
		for _, f := range m.Files(c) {
			out = append(out, f.Rows)
		}
		return out
	})
}
