// Package testdata holds the files that the synthetic mirror and the bench are made from.
package testdata

import "embed"

// Files holds corrections.yaml, mirror/ (names, texts, proportions) and bench/ (workloads).
//
//go:embed corrections.yaml mirror bench
var Files embed.FS
