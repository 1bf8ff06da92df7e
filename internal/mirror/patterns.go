package mirror

import (
	"context"

	"supstream/catalog"
)

// Pattern is a kind of transaction.
type Pattern string

// The first eight are the patterns of the corrections: a correction that has the pattern is played step by step, or the same is done to
// some other row.
const (
	Insert        Pattern = "insert"
	Update        Pattern = "update"
	SoftCancel    Pattern = "soft_cancel"
	Delete        Pattern = "delete"
	CloseWithEnd  Pattern = "close_with_enddate"
	RedactText    Pattern = "redact_text"
	Reassign      Pattern = "reassign_to_other_citizen"
	Reopen        Pattern = "reopen"
	Register      Pattern = "register"       // a citizen gets a few rows in several tables
	NewCitizen    Pattern = "new_citizen"    // somebody who was not in the mirror
	DraftInsert   Pattern = "draft_insert"   // a draft is written
	DraftEdit     Pattern = "draft_edit"     // a draft is changed and stays a draft
	DraftPublish  Pattern = "draft_publish"  // a draft becomes current
	DraftWithdraw Pattern = "draft_withdraw" // a current row becomes a draft again
	MoveKommune   Pattern = "move_kommune"   // a citizen moves: all rows in all tables
	MoveUnknown   Pattern = "move_unknown"   // a citizen moves abroad: no kommune answers
	OwnerKnown    Pattern = "owner_known"    // the kommune of such a citizen becomes known
	ChangeAkasse  Pattern = "change_akasse"  // to another fund, or from none
	LeaveAkasse   Pattern = "leave_akasse"   // to none
	FilterChange  Pattern = "filter_change"  // a row enters or leaves the row filter of an axis
	BatchInsert   Pattern = "batch_insert"   // thousands of rows in one transaction
	BatchUpdate   Pattern = "batch_update"   //
	BatchDelete   Pattern = "batch_delete"   //
	RollBack      Pattern = "rollback"       // changes that are taken back
	Savepoint     Pattern = "savepoint"      // some changes are taken back, others stay
	Upsert        Pattern = "upsert"         // insert on conflict update
	ReplaceKey    Pattern = "replace_key"    // delete and insert of one key, perhaps for another citizen
	KeyChange     Pattern = "key_change"     // the primary key of a row changes
	NoOpUpdate    Pattern = "noop_update"    // an update that changes nothing
	ManyChanges   Pattern = "many_changes"   // one row several times, and a row that comes and goes
	CodeList      Pattern = "code_list"      // reference data change
	SharedChange  Pattern = "shared_change"  // data about companies change
)

// patterns tells how each pattern is played, how often among the others, and which tables it needs.
var patterns = map[Pattern]struct {
	weight int
	play   func(context.Context, *tx) error
	needs  func(*shape) bool
}{
	Insert:        {16, correction(Insert, playInsert), isAboutCitizen},
	Update:        {16, correction(Update, playUpdate), isAboutCitizen},
	SoftCancel:    {8, correction(SoftCancel, playSoftCancel), func(s *shape) bool { return isAboutCitizen(s) && (s.status >= 0 || s.reason >= 0) }},
	Delete:        {6, correction(Delete, playDelete), isAboutCitizen},
	CloseWithEnd:  {8, correction(CloseWithEnd, playClose), func(s *shape) bool { return isAboutCitizen(s) && s.to >= 0 }},
	RedactText:    {5, correction(RedactText, playRedact), func(s *shape) bool { return isAboutCitizen(s) && len(s.texts) > 0 }},
	Reassign:      {6, correction(Reassign, playReassign), isAboutCitizen},
	Reopen:        {4, correction(Reopen, playReopen), func(s *shape) bool { return isAboutCitizen(s) && s.to >= 0 && s.cols[s.to].Nullable }},
	Register:      {20, playRegister, isAboutCitizen},
	NewCitizen:    {3, playNewCitizen, func(s *shape) bool { return s.nature == tie }},
	DraftInsert:   {5, playDraftInsert, hasDrafts},
	DraftEdit:     {4, playDraftEdit, hasDrafts},
	DraftPublish:  {5, playDraftPublish, hasDrafts},
	DraftWithdraw: {3, playDraftWithdraw, hasDrafts},
	MoveKommune:   {8, playMove, hasOwner(catalog.Kommune)},
	MoveUnknown:   {2, playMoveUnknown, hasOwner(catalog.Kommune)},
	OwnerKnown:    {3, playOwnerKnown, hasOwner(catalog.Kommune)},
	ChangeAkasse:  {4, playChangeAkasse, hasOwner(catalog.Akasse)},
	LeaveAkasse:   {2, playLeaveAkasse, hasOwner(catalog.Akasse)},
	FilterChange:  {3, playFilterChange, func(s *shape) bool { return isAboutCitizen(s) && s.filterColumn() >= 0 }},
	BatchInsert:   {1, playBatchInsert, isAboutCitizen},
	BatchUpdate:   {1, playBatchUpdate, isAboutCitizen},
	BatchDelete:   {1, playBatchDelete, isAboutCitizen},
	RollBack:      {4, playRollBack, isAboutCitizen},
	Savepoint:     {4, playSavepoint, isAboutCitizen},
	Upsert:        {4, playUpsert, isAboutCitizen},
	ReplaceKey:    {3, playReplaceKey, isAboutCitizen},
	KeyChange:     {2, playKeyChange, isAboutCitizen},
	NoOpUpdate:    {3, playNoOp, isAboutCitizen},
	ManyChanges:   {4, playManyChanges, isAboutCitizen},
	CodeList:      {1, playCodeList, func(s *shape) bool { return s.nature == reference }},
	SharedChange:  {2, playShared, func(s *shape) bool { return s.nature == shared }},
}

// order is the order in which the patterns come first: what makes something to do comes before what does it.
var order = []Pattern{
	Insert, Update, SoftCancel, Delete, CloseWithEnd, RedactText, Reassign, Reopen, Register, NewCitizen,
	DraftInsert, DraftEdit, DraftPublish, DraftWithdraw, MoveKommune, MoveUnknown, OwnerKnown, ChangeAkasse, LeaveAkasse, FilterChange,
	BatchInsert, BatchUpdate, BatchDelete, RollBack, Savepoint, Upsert, ReplaceKey, KeyChange, NoOpUpdate, ManyChanges, CodeList, SharedChange,
}

// Patterns returns the patterns that the catalogue has tables for.
func (m *Mirror) Patterns() []Pattern {
	var possible []Pattern
	for _, p := range order {
		if len(m.having(patterns[p].needs)) > 0 {
			possible = append(possible, p)
		}
	}
	return possible
}

// having returns the tables that fulfil a condition.
func (m *Mirror) having(condition func(*shape) bool) []*shape {
	var found []*shape
	for _, s := range m.tables {
		if condition(s) {
			found = append(found, s)
		}
	}
	return found
}

func isAboutCitizen(s *shape) bool { return s.nature == aboutCitizen }

func hasDrafts(s *shape) bool {
	return s.Draft != nil && s.nature == aboutCitizen && len(s.Draft.In) > 0
}

func hasOwner(axis catalog.Axis) func(*shape) bool {
	return func(s *shape) bool {
		return s.person >= 0 && (axis == catalog.Kommune && s.kommune >= 0 || axis == catalog.Akasse && s.akasse >= 0)
	}
}

// filterColumn is the column of a row filter, -1 when there is none.
func (s *shape) filterColumn() int {
	for _, o := range s.Owners {
		if o.Only != nil {
			return o.Only.Column
		}
	}
	return -1
}
