package capture

import (
	"context"

	"supstream/catalog"
)

// hold keeps a change of an area that is held.
func (p *pump) hold(ctx context.Context, r *relation, at Position, msg []byte) error {
	if at.Compare(r.held.from) <= 0 {
		return nil
	}
	h := Held{Area: r.held.area, Position: at, XID: p.decoder.xid, CommitTime: p.decoder.commit}
	if r.raw != nil {
		h.Message = r.raw
		if err := p.pub.PublishHeld(ctx, &h); err != nil {
			return err
		}
		r.raw = nil
	}
	h.Message = msg
	return p.pub.PublishHeld(ctx, &h)
}

// replay publishes what was kept of an area that is held no longer. What was
// not confirmed to Postgres comes again from there.
func (p *pump) replay(ctx context.Context, area *catalog.Dataomraade) error {
	d := newDecoder(p.decoder.catalog)
	d.reread, d.stale, d.known, d.oids, d.surveyed = p.decoder.reread, p.decoder.stale, p.decoder.known, p.decoder.oids, p.decoder.surveyed
	d.replays = area
	return p.pub.Replay(ctx, area, p.boundary.LSN, func(h *Held) error {
		d.open, d.lsn, d.xid, d.commit, d.ordinal = true, h.Position.LSN, h.XID, h.CommitTime, h.Position.Ordinal-1
		return d.decode(ctx, h.Message, p)
	})
}
