package projections

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/catalog"
	"supstream/projections/durable"
)

// Config says how the Runner works. DefaultConfig fills in all but Dir.
type Config struct {
	// Dir is the projector's own directory: bases and spilled runs. One process at a time may use it.
	Dir string

	// Every replaces the frequency of every area, for demonstrations and tests; 0 follows the catalogue.
	Every time.Duration

	// Memory is the budget of one fold in bytes. Up to Areas folds run at the same time.
	Memory int64

	// Areas is how many dataomraader are worked on at the same time, Files how many files of one area are written at the same time.
	Areas, Files int

	// Patience is how long a due area waits for a mark at or after its time before it takes the newest there is. An area whose
	// mark lags further behind the others is cut on its own.
	Patience time.Duration

	// Poll is how often the Runner looks for marks it waits for and for new grants.
	Poll time.Duration

	// Retry is how long a failed area waits before it is tried again.
	Retry time.Duration
}

// DefaultConfig is a working configuration for a directory.
func DefaultConfig(dir string) Config {
	return Config{Dir: dir, Memory: DefaultMemory, Areas: 2, Files: 4, Patience: 30 * time.Second, Poll: time.Second, Retry: time.Minute}
}

// Validate checks the settings one by one and against each other.
func (c Config) Validate() error {
	var errs []error
	positive := func(ok bool, name string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s must be greater than 0", name))
		}
	}
	if c.Dir == "" {
		errs = append(errs, errors.New("dir is missing"))
	}
	if c.Every < 0 {
		errs = append(errs, errors.New("every must not be negative"))
	}
	if c.Memory < 1<<20 {
		errs = append(errs, errors.New("memory must be at least 1 MiB"))
	}
	positive(c.Areas > 0, "areas")
	positive(c.Files > 0, "files")
	positive(c.Patience > 0, "patience")
	positive(c.Poll > 0, "poll")
	positive(c.Retry > 0, "retry")
	if c.Poll > c.Patience {
		errs = append(errs, fmt.Errorf("poll %s is longer than patience %s", c.Poll, c.Patience))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("projections: %w", err)
	}
	return nil
}

// Parts are what a Runner works with. Clock, Registry and FS may be nil: the machine's clock, no metrics, the machine's files.
type Parts struct {
	Catalog  *catalog.Catalog
	Grants   Grants
	Source   Source
	Sink     Sink
	Log      *slog.Logger
	Clock    Clock
	Registry prometheus.Registerer
	FS       durable.FS
}
