package capture

import (
	"context"
	"slices"

	"supstream/catalog"
)

// Hold, PublishHeld and Replay make memory a whole Publisher. What is kept is noted as "kept samtaler I".

func (p *memory) Hold(_ context.Context, areas []*catalog.Dataomraade) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range areas {
		s := p.areas[a.Slug]
		s.Held = true
	}
	return nil
}

func (p *memory) PublishHeld(_ context.Context, h *Held) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := *h
	kept.Message = slices.Clone(h.Message)
	p.kept = append(p.kept, kept)
	p.note("kept " + h.Area.Slug + " " + string(h.Message[:1]))
	return nil
}

func (p *memory) Replay(_ context.Context, area *catalog.Dataomraade, before uint64, yield func(*Held) error) error {
	p.mu.Lock()
	var mine, rest []Held
	for _, h := range p.kept {
		if h.Area.Slug == area.Slug {
			mine = append(mine, h)
		} else {
			rest = append(rest, h)
		}
	}
	p.mu.Unlock()
	for i := range mine {
		if mine[i].Position.LSN < before {
			if err := yield(&mine[i]); err != nil {
				return err
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept, p.areas[area.Slug].Held = rest, false
	p.note("replayed " + area.Slug)
	return nil
}
