package catalog

import "time"

// The structures of the files, as docs/CATALOG.md describes them.

type areaFile struct {
	Slug              string         `yaml:"slug"`
	Package           string         `yaml:"package"`
	Name              string         `yaml:"name"`
	Description       string         `yaml:"description"`
	Version           int            `yaml:"version"`
	State             State          `yaml:"state"`
	Audience          []Axis         `yaml:"audience"`
	Sensitivity       Sensitivity    `yaml:"sensitivity"`
	ThirdParty        bool           `yaml:"third_party"`
	Decision          string         `yaml:"decision"`
	ReportedBy        []string       `yaml:"reported_by"`
	ForSharing        bool           `yaml:"for_sharing"`
	Frequency         Frequency      `yaml:"frequency"`
	FrequencyDecision string         `yaml:"frequency_decision"`
	Retention         time.Duration  `yaml:"retention"`
	History           string         `yaml:"history"`
	LegalBasis        legalBasisFile `yaml:"legal_basis"`
	Link              string         `yaml:"link"`
	Notes             string         `yaml:"notes"`
	Tables            []tableFile    `yaml:"tables"`
}

type legalBasisFile struct {
	Chapters []string `yaml:"chapters"`
	None     string   `yaml:"none"`
}

type tableFile struct {
	Schema      string       `yaml:"schema"`
	Name        string       `yaml:"name"`
	Slug        string       `yaml:"slug"`
	Description string       `yaml:"description"`
	Key         []string     `yaml:"key"`
	Identity    string       `yaml:"identity"`
	Owners      *ownersFile  `yaml:"owners"`
	Everybody   bool         `yaml:"everybody"`
	Draft       *matchFile   `yaml:"draft"`
	Persons     *personsFile `yaml:"persons"`
	Columns     []columnFile `yaml:"columns"`
}

type personsFile struct {
	Person  string `yaml:"person"`
	Kommune string `yaml:"kommune"`
	Akasse  string `yaml:"akasse"`
	From    string `yaml:"from"`
	To      string `yaml:"to"`
}

type ownersFile struct {
	Kommune *ownerFile `yaml:"kommune"`
	Akasse  *ownerFile `yaml:"akasse"`
}

type ownerFile struct {
	Column  string     `yaml:"column"`
	Via     string     `yaml:"via"`
	Person  string     `yaml:"person"`
	Missing missing    `yaml:"missing"`
	Only    *matchFile `yaml:"only"`
}

type matchFile struct {
	Column string   `yaml:"column"`
	In     []string `yaml:"in"`
}

type columnFile struct {
	Name        string `yaml:"name"`
	Type        string `yaml:"type"`
	Nullable    bool   `yaml:"nullable"`
	Role        string `yaml:"role"`
	FreeText    bool   `yaml:"free_text"`
	Description string `yaml:"description"`
}

type brugereFile struct {
	Kommune []brugerFile `yaml:"kommune"`
	Akasse  []brugerFile `yaml:"akasse"`
}

type brugerFile struct {
	Code string `yaml:"code"`
	Name string `yaml:"name"`
}

// missing says what becomes of a row whose owner is not known.
type missing uint8

const (
	missingHold missing = iota + 1
	missingNone
)

var missings = [...]string{"", "hold", "none"}

func (m *missing) UnmarshalText(text []byte) error {
	n, err := parseName(missings[:], string(text), "value")
	*m = missing(n)
	return err
}

// roles are the words that may describe what a column is for.
var roles = []string{
	"pk", "person_key", "kommune_key", "akasse_key", "jobcenter_key",
	"valid_from", "valid_to", "event_time", "date", "status", "reason",
	"type_code", "value", "flag", "version", "ref", "cvr", "contact", "origin",
	"free_text", "correction_comment", "draft_marker",
	"registered_by", "created_at", "updated_at",
}

// textRoles are the roles of columns that hold free text by nature.
var textRoles = []string{"free_text", "correction_comment"}
