package sinks

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"supstream/projections"
)

// ManifestSuffix ends the names of manifests.
const ManifestSuffix = ".json"

// signatureMember is where the signed bytes of a manifest end: its last occurrence. Inside a JSON string the quotes would be
// escaped, so that it cannot stand there.
const signatureMember = `,"signature":"`

// MaxManifest is the largest manifest that is read: 16 MiB.
const MaxManifest = 16 << 20

var (
	// ErrSignature: a manifest was not signed with one of the keys.
	ErrSignature = errors.New("the signature is not right")

	// ErrManifest: a manifest is not as docs/FILES.md says.
	ErrManifest = errors.New("not a manifest")
)

// EncodeManifest writes a manifest and signs it.
func EncodeManifest(m *projections.Manifest, key ed25519.PrivateKey) ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	b = b[:len(b)-1] // without its closing brace
	signature := ed25519.Sign(key, b)
	b = append(b, signatureMember...)
	b = base64.StdEncoding.AppendEncode(b, signature)
	return append(b, "\"}\n"...), nil
}

// DecodeManifest reads a manifest, whose signature it checks against the key that the manifest names.
func DecodeManifest(b []byte, keys []ed25519.PublicKey) (*projections.Manifest, error) {
	m, err := parseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	at := bytes.LastIndex(b, []byte(signatureMember))
	signature, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSuffix(b[at+len(signatureMember):], []byte("\"}\n")))
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: it is not 64 bytes in base64", ErrSignature)
	}
	for _, k := range keys {
		if KeyID(k) == m.Key {
			if ed25519.Verify(k, b[:at], signature) {
				return m, nil
			}
			return nil, fmt.Errorf("%w: the content is not what key %s signed", ErrSignature, m.Key)
		}
	}
	return nil, fmt.Errorf("%w: it is by key %s, which is not among the %d known", ErrSignature, m.Key, len(keys))
}

func parseManifest(b []byte) (*projections.Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("longer than %d bytes", MaxManifest)
	}
	if !bytes.HasSuffix(b, []byte("\"}\n")) || !bytes.Contains(b, []byte(signatureMember)) {
		return nil, errors.New("it does not end with a signature")
	}
	var m projections.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	if m.Format != projections.FormatVersion {
		return nil, fmt.Errorf("format %d, this program reads format %d", m.Format, projections.FormatVersion)
	}
	return &m, checkManifest(&m)
}

var (
	slugPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)
	hashPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	namePattern = regexp.MustCompile(`^([0-9]{8})-([0-9A-F]{16}-[0-9A-F]{8})-([0-9A-F]{16}-[0-9A-F]{8})\.([DFT])(\.ndjson\.zst|\.json)$`)
)

// checkManifest checks the fields one by one and against each other, so that what follows may rely on them.
func checkManifest(m *projections.Manifest) error {
	if _, err := m.Chain(); err != nil {
		return err
	}
	if _, err := m.End(); err != nil {
		return err
	}
	full := m.Kind.Replaces()
	switch {
	case m.Kind != projections.DeltaLoad && !full:
		return fmt.Errorf("kind %q", m.Kind)
	case !slugPattern.MatchString(m.Opgaveloeser), !slugPattern.MatchString(m.Dataomraade), m.SchemaVersion < 1:
		return errors.New("opgaveloeser, dataomraade or schema_version")
	case m.Sequence == 0, (m.Sequence == 1) != (m.Previous == nil):
		return errors.New("sequence and previous do not fit together")
	case full != (m.AppliesAfter != nil), full && *m.AppliesAfter != m.Sequence-1:
		return errors.New("applies_after")
	case m.From.Position > m.To.Position, m.From.StreamSequence > m.To.StreamSequence:
		return errors.New("it ends before it begins")
	case m.Period.End.IsZero(), full != (m.Period.Start == nil):
		return errors.New("period")
	case m.Data.File != m.Name()+DataSuffix || !namePattern.MatchString(m.Data.File):
		return errors.New("the name of the data file does not follow from the other fields")
	case !hashPattern.MatchString(m.Data.SHA256), m.Data.Bytes < 0, m.Data.ContentBytes < 0:
		return errors.New("data")
	case m.Previous != nil && (!namePattern.MatchString(m.Previous.File) || !hashPattern.MatchString(m.Previous.SHA256)):
		return errors.New("previous")
	}
	var rows int64
	for _, t := range m.Tables {
		if !slugPattern.MatchString(t.Table) || t.NetZero < 0 {
			return errors.New("tables")
		}
		for _, n := range []int64{t.Rows.I, t.Rows.U, t.Rows.D, t.Rows.O, t.Rows.T} {
			if n < 0 {
				return errors.New("a count is negative")
			}
			rows += n
		}
	}
	if rows != m.Data.Rows {
		return fmt.Errorf("the tables have %d rows, the file has %d", rows, m.Data.Rows)
	}
	return nil
}

// fileName is what the name of a file in a chain says.
type fileName struct {
	name     string
	sequence uint64
	manifest bool
}

func parseName(name string) (fileName, bool) {
	p := namePattern.FindStringSubmatch(name)
	if p == nil {
		return fileName{}, false
	}
	n, err := strconv.ParseUint(p[1], 10, 64)
	return fileName{name: name, sequence: n, manifest: p[5] == ManifestSuffix}, err == nil
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
