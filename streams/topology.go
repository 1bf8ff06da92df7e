package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"supstream/catalog"
)

// Topology is the set of streams a catalogue needs.
type Topology struct {
	Catalog  *catalog.Catalog
	Mirror   string
	Replicas int
}

// StreamPlan is what has to be done to one stream.
type StreamPlan struct {
	Stream  string
	Create  bool     // it does not exist
	Foreign bool     // it was not made by supstream; Apply refuses it
	Changes []string // settings that differ
}

// Plan compares the streams with what they should be and changes nothing.
func (t Topology) Plan(ctx context.Context, js jetstream.JetStream) ([]StreamPlan, error) {
	var plans []StreamPlan
	for _, want := range t.configs() {
		s, err := js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			plans = append(plans, StreamPlan{Stream: want.Name, Create: true})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", want.Name, err)
		}
		have := s.CachedInfo().Config
		foreign := have.Metadata[metaIncarnation] == ""
		if changes := differences(have, want); len(changes) > 0 || foreign {
			plans = append(plans, StreamPlan{Stream: want.Name, Foreign: foreign, Changes: changes})
		}
	}
	return plans, nil
}

// StreamError is a stream that cannot be used until somebody has mended it.
type StreamError struct {
	Stream string
	What   string
}

func (e *StreamError) Error() string { return "stream " + e.Stream + " " + e.What }

// Permanent says that trying again does not help.
func (e *StreamError) Permanent() bool { return true }

// Apply makes and corrects streams. It never deletes one and never touches
// their messages.
func (t Topology) Apply(ctx context.Context, js jetstream.JetStream) error {
	for _, want := range t.configs() {
		s, err := js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			want.Metadata[metaIncarnation] = nuid.Next()
			if _, err = js.CreateStream(ctx, want); err != nil {
				return fmt.Errorf("stream %s: create: %w", want.Name, err)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", want.Name, err)
		}
		have := s.CachedInfo().Config
		if have.Metadata[metaIncarnation] == "" {
			return &StreamError{want.Name, "exists but was not made by supstream: delete it, or use another JetStream account"}
		}
		if len(differences(have, want)) == 0 {
			continue
		}
		want.Metadata[metaIncarnation] = have.Metadata[metaIncarnation]
		if _, err := js.UpdateStream(ctx, want); err != nil {
			return fmt.Errorf("stream %s: update: %w", want.Name, err)
		}
	}
	return nil
}

func (t Topology) configs() []jetstream.StreamConfig {
	held := t.config(HeldStream, "Rows without a known owner", heldSubjects, 0)
	held.MaxMsgsPerSubject = 1
	list := []jetstream.StreamConfig{held, t.config(DriftStream, "Changes of areas that are held", driftSubjects, 0)}
	for _, area := range t.Catalog.Dataomraader() {
		if area.Open() {
			list = append(list, t.config(StreamName(area.Slug), area.Name, "dfdg."+area.Slug+".>", area.Retention))
		}
	}
	return list
}

func (t Topology) config(name, description, subjects string, retention time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Description: description, Subjects: []string{subjects},
		Storage: jetstream.FileStorage, Compression: jetstream.S2Compression, Replicas: max(1, t.Replicas),
		MaxAge: retention, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: -1,
		// Nothing is sent with a message id: the fence makes duplicates impossible.
		Duplicates:         100 * time.Millisecond,
		AllowAtomicPublish: true, AllowRollup: true, AllowMsgTTL: true,
		Metadata: map[string]string{"supstream-mirror": t.Mirror},
	}
}

// differences names the settings of have that are not as in want.
func differences(have, want jetstream.StreamConfig) []string {
	var d []string
	add := func(differs bool, format string, args ...any) {
		if differs {
			d = append(d, fmt.Sprintf(format, args...))
		}
	}
	add(!slices.Equal(have.Subjects, want.Subjects), "subjects %v, want %v", have.Subjects, want.Subjects)
	add(have.MaxAge != want.MaxAge, "max age %s, want %s", have.MaxAge, want.MaxAge)
	add(have.Replicas != want.Replicas, "replicas %d, want %d", have.Replicas, want.Replicas)
	add(have.Compression != want.Compression, "compression %s, want %s", have.Compression, want.Compression)
	add(have.MaxMsgsPerSubject != want.MaxMsgsPerSubject, "messages per subject %d, want %d", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	add(have.Storage != want.Storage, "storage %s, want %s", have.Storage, want.Storage)
	add(!have.AllowAtomicPublish, "atomic publish is off")
	add(!have.AllowRollup, "rollup is off")
	add(!have.AllowMsgTTL, "message TTL is off")
	add(have.Metadata["supstream-mirror"] != want.Metadata["supstream-mirror"], "mirror %q, want %q",
		have.Metadata["supstream-mirror"], want.Metadata["supstream-mirror"])
	return d
}
