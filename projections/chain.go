package projections

import (
	"cmp"
	"fmt"
	"strings"

	"supstream/catalog"
)

// Chain names a sequence of files: one Opgaveloeser's deliveries of a dataomraade, in one schema version, for one Bruger.
type Chain struct {
	Opgaveloeser string
	Bruger       catalog.Bruger
	Dataomraade  string
	Version      int
}

// Folder is the name of a Bruger in file systems: kommune-751, akasse-908, alle.
func Folder(b catalog.Bruger) string { return strings.Replace(b.String(), ".", "-", 1) }

// String is the folder of the chain below the outbox, with slashes.
func (c Chain) String() string {
	return fmt.Sprintf("%s/%s/%s/v%d", c.Opgaveloeser, Folder(c.Bruger), c.Dataomraade, c.Version)
}

// Compare orders chains as their folders are listed: by Opgaveloeser, Bruger, dataomraade and version.
func (c Chain) Compare(o Chain) int {
	return cmp.Or(cmp.Compare(c.Opgaveloeser, o.Opgaveloeser), c.Bruger.Compare(o.Bruger),
		cmp.Compare(c.Dataomraade, o.Dataomraade), cmp.Compare(c.Version, o.Version))
}

// Kind says what a file holds.
type Kind string

const (
	DeltaLoad Kind = "delta" // what changed since the file before
	FullLoad  Kind = "full"  // everything that is there; replaces what the receiver has
	TestLoad  Kind = "test"  // like a full load, of generated data
)

// Replaces tells whether a file of this kind replaces everything that the receiver has, whatever that is.
func (k Kind) Replaces() bool { return k == FullLoad || k == TestLoad }

// Letter is the kind in file names.
func (k Kind) Letter() string {
	switch k {
	case DeltaLoad:
		return "D"
	case FullLoad:
		return "F"
	}
	return "T"
}
