package agreements

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"supstream/catalog"
	"supstream/internal/yamlfile"
)

// LoadPath is Load for a file or a folder of the operating system.
func LoadPath(name string, c *catalog.Catalog) (*Register, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read agreements: %w", err)
	}
	if info.IsDir() {
		return load(os.DirFS(name), name, c)
	}
	l, err := newLoader(c)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read agreements: %w", err)
	}
	l.decode(name, text)
	return l.register()
}

// Load reads every .yaml and .yml file below the root of fsys as one register and checks it against the catalogue. Everything wrong is
// reported at once, each error with file and line; one without purpose is also ErrNoPurpose.
func Load(fsys fs.FS, c *catalog.Catalog) (*Register, error) {
	return load(fsys, "", c)
}

// load names the files of fsys in messages as they stand under dir.
func load(fsys fs.FS, dir string, c *catalog.Catalog) (*Register, error) {
	l, err := newLoader(c)
	if err != nil {
		return nil, err
	}
	found := false
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := p != "." && strings.HasPrefix(d.Name(), "."); hidden || d.IsDir() {
			if hidden && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(p); ext != ".yaml" && ext != ".yml" {
			return nil
		}
		found = true
		text, err := fs.ReadFile(fsys, p)
		if err == nil {
			l.decode(filepath.Join(dir, p), text)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read agreements: %w", err)
	}
	if !found {
		return nil, fmt.Errorf("read agreements: no .yaml file in %s", cmp.Or(dir, "the folder"))
	}
	return l.register()
}

// loader collects the files, then checks what they say of each other.
type loader struct {
	copenhagen *time.Location
	reg        *Register
	files      []*source
	errs       []error
	seen       map[string]string // what must be there once → file:line
}

type source struct {
	name string
	doc  *yamlfile.Document
	file file
}

func newLoader(c *catalog.Catalog) (*loader, error) {
	copenhagen, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("read agreements: %w", err)
	}
	return &loader{copenhagen: copenhagen, seen: map[string]string{}, reg: &Register{
		catalog:       c,
		opgaveloesere: map[string]*Opgaveloeser{},
		tilslutning:   map[catalog.Bruger][]*Tilslutningsaftale{},
		databehandler: map[parties][]*Databehandleraftale{},
		samarbejde:    map[string][]*Samarbejdsaftale{},
	}}, nil
}

func (l *loader) decode(name string, text []byte) {
	s := &source{name: name}
	doc, err := yamlfile.Decode(name, text, &s.file)
	if err != nil {
		l.errs = append(l.errs, err)
		return
	}
	s.doc = doc
	l.files = append(l.files, s)
}

// register checks all files and computes the grants. Agreements are checked only when every file could be read: half a register would
// only add errors about parties that stand in the other half.
func (l *loader) register() (*Register, error) {
	if len(l.errs) > 0 {
		return nil, yamlfile.Join(l.errs...)
	}
	for _, s := range l.files {
		for i, e := range s.file.Opgaveloesere {
			l.opgaveloeser(entry{l, s, []any{"opgaveloesere", i}}, e)
		}
	}
	for _, s := range l.files {
		for i, e := range s.file.Tilslutningsaftaler {
			l.tilslutningsaftale(entry{l, s, []any{"tilslutningsaftaler", i}}, e)
		}
		for i, e := range s.file.Databehandleraftaler {
			l.databehandleraftale(entry{l, s, []any{"databehandleraftaler", i}}, e)
		}
		for i, e := range s.file.Samarbejdsaftaler {
			l.samarbejdsaftale(entry{l, s, []any{"samarbejdsaftaler", i}}, e)
		}
	}
	if len(l.errs) > 0 {
		return nil, yamlfile.Join(l.errs...)
	}
	l.reg.compute()
	return l.reg, nil
}

func (l *loader) opgaveloeser(at entry, e opgaveloeserEntry) {
	o := &Opgaveloeser{ID: e.ID, Name: at.text("name", e.Name), Kind: Kind(e.Kind), CVR: e.CVR, Contact: at.text("contact", e.Contact)}
	if !slug.MatchString(e.ID) {
		at.errorf("id", "id names folders and accounts: want 2 to 40 lower-case letters, digits, - and _, beginning with a letter")
	}
	if !cvr.MatchString(e.CVR) {
		at.errorf("cvr", "cvr: want eight digits")
	}
	switch {
	case o.Kind == Myndighed && e.Bruger == "":
		at.errorf("kind", "a myndighed needs bruger: the authority that it is")
	case o.Kind == Myndighed:
		o.Bruger = at.bruger(e.Bruger)
	case o.Kind != Leverandoer:
		at.errorf("kind", "kind: want leverandoer or myndighed")
	case e.Bruger != "":
		at.errorf("bruger", "a leverandoer is no authority: remove bruger, or make it a myndighed")
	}
	at.once("opgaveloeser "+e.ID, "id")
	l.reg.opgaveloesere[o.ID] = o
}

func (l *loader) tilslutningsaftale(at entry, e tilslutningsaftaleEntry) {
	a := &Tilslutningsaftale{aftale: at.aftale(e.State, e.Reference, e.From, e.To), Bruger: at.bruger(e.Bruger), Bilag: e.Bilag}
	for i, id := range e.Bilag {
		at.at("bilag", i).known(id)
	}
	at.once(fmt.Sprintf("tilslutningsaftale %s of %s", a.Reference, a.Bruger), "reference")
	l.reg.tilslutning[a.Bruger] = append(l.reg.tilslutning[a.Bruger], a)
}

func (l *loader) databehandleraftale(at entry, e databehandleraftaleEntry) {
	a := &Databehandleraftale{aftale: at.aftale(e.State, e.Reference, e.From, e.To), Opgaveloeser: e.Opgaveloeser,
		Bruger: at.bruger(e.Bruger), ConfirmedBy: strings.TrimSpace(e.ConfirmedBy)}
	at.at("opgaveloeser").known(e.Opgaveloeser)
	if o := l.reg.opgaveloesere[e.Opgaveloeser]; o != nil && o.isItself(a.Bruger) {
		at.errorf("bruger", "%s is %s: an authority is not its own processor; remove this agreement", o.ID, a.Bruger)
	}
	at.once(fmt.Sprintf("databehandleraftale %s of %s with %s", a.Reference, e.Opgaveloeser, a.Bruger), "reference")
	key := parties{a.Opgaveloeser, a.Bruger}
	l.reg.databehandler[key] = append(l.reg.databehandler[key], a)
}

func (l *loader) samarbejdsaftale(at entry, e samarbejdsaftaleEntry) {
	a := &Samarbejdsaftale{aftale: at.aftale(e.State, e.Reference, e.From, e.To), Opgaveloeser: e.Opgaveloeser,
		Formaal: strings.TrimSpace(e.Formaal), ApprovedBy: strings.TrimSpace(e.ApprovedBy)}
	at.at("opgaveloeser").known(e.Opgaveloeser)
	if a.Formaal == "" {
		at.fail(noPurpose{at.error("formaal", "formaal is missing: %v", ErrNoPurpose)})
	}
	switch {
	case (a.ApprovedBy == "") != (e.ApprovedOn == ""):
		at.errorf("approved_by", "approved_by and approved_on belong together: give both, or none while it is not approved")
	case a.ApprovedBy != "":
		a.approved.from, _ = at.instant("approved_on", e.ApprovedOn)
	}
	if len(e.Areas) == 0 {
		at.errorf("dataomraader", "dataomraader: list at least one")
	}
	for i, area := range e.Areas {
		at := at.at("dataomraader", i)
		if _, known := l.reg.catalog.Dataomraade(area.Dataomraade); !known && area.Dataomraade != AllAreas {
			at.errorf("dataomraade", "dataomraade %q is not in the catalogue", area.Dataomraade)
		}
		for j, other := range e.Areas[:i] {
			if other.Dataomraade == area.Dataomraade {
				at.errorf("dataomraade", "dataomraade %s is listed twice: first as number %d", area.Dataomraade, j+1)
			}
		}
		valid := a.valid
		if area.From != "" || area.To != "" {
			valid = at.valid(cmp.Or(area.From, e.From), area.To)
		}
		a.Areas = append(a.Areas, Area{area.Dataomraade, valid})
	}
	at.once(fmt.Sprintf("samarbejdsaftale %s of %s", a.Reference, e.Opgaveloeser), "reference")
	l.reg.samarbejde[a.Opgaveloeser] = append(l.reg.samarbejde[a.Opgaveloeser], a)
}
