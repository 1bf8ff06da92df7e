package sinks

import (
	"context"
	"maps"
	"sync"

	"supstream/projections"
)

// MemoryStore keeps rows as JSON in memory, for tests and comparisons.
type MemoryStore struct {
	mu     sync.Mutex // guards chains
	chains map[projections.Chain]*memoryChain
}

// RowKey names a row of a chain: table and key as JSON.
type RowKey struct{ Table, Key string }

type memoryChain struct {
	applied Applied
	rows    map[RowKey]string
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{chains: map[projections.Chain]*memoryChain{}}
}

// Rows is a copy of the rows of a chain, each as JSON.
func (s *MemoryStore) Rows(c projections.Chain) map[RowKey]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if chain := s.chains[c]; chain != nil {
		return maps.Clone(chain.rows)
	}
	return map[RowKey]string{}
}

// Applied implements Store.
func (s *MemoryStore) Applied(_ context.Context, c projections.Chain) (Applied, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if chain := s.chains[c]; chain != nil {
		return chain.applied, nil
	}
	return Applied{}, nil
}

// Begin implements Store.
func (s *MemoryStore) Begin(_ context.Context, c projections.Chain, m *projections.Manifest) (Load, error) {
	l := &memoryLoad{store: s, chain: c, rows: map[RowKey]string{}}
	if !m.Kind.Replaces() {
		l.rows = s.Rows(c)
	}
	return l, nil
}

type memoryLoad struct {
	store *MemoryStore
	chain projections.Chain
	rows  map[RowKey]string
}

func (l *memoryLoad) Row(_ context.Context, r *projections.Row) error {
	at := RowKey{r.Table, string(r.Key)}
	switch r.Op {
	case projections.OpInsert, projections.OpUpdate:
		l.rows[at] = string(r.Row)
	case projections.OpDelete, projections.OpScopeOut:
		delete(l.rows, at)
	case projections.OpTruncate:
		maps.DeleteFunc(l.rows, func(k RowKey, _ string) bool { return k.Table == r.Table })
	}
	return nil
}

func (l *memoryLoad) Commit(_ context.Context, now Applied) error {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.store.chains[l.chain] = &memoryChain{now, l.rows}
	return nil
}

func (l *memoryLoad) Rollback(context.Context) error { return nil }
