package capture

import (
	"bufio"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	gatherBytes = 256 << 10
	gatherPause = 300 * time.Microsecond
)

// gather makes reads of a busy connection few and large. Postgres sends every
// row by itself; whoever reads at once is woken for every row, and wakes
// Postgres, which costs both more than the row. So behind two small reads in
// quick succession it pauses before the next, and more has come. A stream of
// fewer than a few thousand rows a second is never delayed.
type gather struct {
	r     io.Reader
	last  time.Time // end of the read before
	small bool      // the reads before came quickly and brought little
}

// newGatheringFrontend is a pgconn.BuildFrontendFunc.
func newGatheringFrontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	return pgproto3.NewFrontend(bufio.NewReaderSize(&gather{r: r}, gatherBytes), w)
}

func (g *gather) Read(p []byte) (int, error) {
	if g.small {
		time.Sleep(gatherPause)
	}
	n, err := g.r.Read(p)
	now := time.Now()
	g.small = n < len(p)/4 && now.Sub(g.last) < 2*gatherPause
	g.last = now
	return n, err
}
