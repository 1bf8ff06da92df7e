package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"supstream/internal/yamlfile"
)

//go:embed dfdg/*.yaml
var dfdg embed.FS

// brugereName is the file with the known authorities; every other YAML file
// of the folder is a dataområde.
const brugereName = "brugere.yaml"

// Default returns the DFDG catalogue that the product ships.
func Default() (*Catalog, error) {
	files, err := fs.Sub(dfdg, "dfdg")
	if err != nil {
		return nil, fmt.Errorf("open the DFDG catalogue: %w", err)
	}
	return Load(files)
}

// LoadDir is Load for a folder of the file system; errors name files with the
// folder in front.
func LoadDir(dir string) (*Catalog, error) { return load(os.DirFS(dir), dir) }

// Load reads a catalogue from the files at the root of fsys: brugere.yaml and
// one .yaml file per dataområde. Folders and files with other endings are not
// looked at. Everything that is wrong is reported at once, as *yamlfile.Error
// values in the order of files and lines; then the Catalog is nil.
func Load(fsys fs.FS) (*Catalog, error) { return load(fsys, "") }

func load(fsys fs.FS, dir string) (*Catalog, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read the catalogue folder: %w", err)
	}
	l := loader{
		cat:   Catalog{tables: map[tableName]*Table{}},
		areas: map[string]place{}, tables: map[tableName]place{},
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case e.IsDir():
			continue
		case strings.HasSuffix(name, ".yml"):
			l.fail(&yamlfile.Error{File: name, Msg: "catalogue files end in .yaml: rename the file"})
			continue
		case !strings.HasSuffix(name, ".yaml"):
			continue
		}
		data, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		if e.Name() == brugereName {
			l.brugereFile(name, data)
		} else {
			l.areaFile(name, data)
		}
	}
	l.whole(path.Join(dir, brugereName))
	if len(l.errs) > 0 {
		return nil, yamlfile.Join(l.errs...)
	}
	slices.SortFunc(l.cat.areas, func(a, b *Dataomraade) int { return strings.Compare(a.Slug, b.Slug) })
	l.cat.version = digest(&l.cat)
	return &l.cat, nil
}

// loader gathers the catalogue and what is wrong with it.
type loader struct {
	cat     Catalog
	files   int  // areas seen, readable or not
	brugere bool // brugere.yaml seen
	vias    []viaRef
	areas   map[string]place // by slug
	tables  map[tableName]place
	errs    []error
}

// place is where something was declared.
type place struct {
	file string
	doc  *yamlfile.Document
	path []any
}

func (p place) in(steps ...any) place {
	p.path = append(slices.Clip(p.path), steps...)
	return p
}

// String returns file:line.
func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.doc.Line(p.path...)) }

func (l *loader) fail(err error) { l.errs = append(l.errs, err) }

func (l *loader) errorf(p place, format string, args ...any) {
	l.fail(p.doc.Errorf(p.path, format, args...))
}

// once reports the second declaration of a name.
func once[K comparable](l *loader, seen map[K]place, key K, p place, format string, args ...any) bool {
	first, twice := seen[key]
	if twice {
		l.errorf(p, format+" (first in %s)", append(args, first)...)
		return false
	}
	seen[key] = p
	return true
}

// whole checks what concerns all files together.
func (l *loader) whole(brugereName string) {
	if l.files == 0 {
		l.fail(errors.New("the catalogue folder has no dataområde: give a folder with one .yaml file per dataområde"))
	}
	if !l.brugere {
		l.fail(&yamlfile.Error{File: brugereName, Msg: "the file is missing: list the kommuner and a-kasser that may receive rows"})
	}
	if l.cat.brugere[Alle].list == nil {
		return // missing or not readable, and reported
	}
	l.resolveVias()
	for _, d := range l.cat.areas {
		for _, a := range d.Audience {
			if d.Open() && len(l.cat.Brugere(a)) == 0 {
				l.errorf(l.areas[d.Slug].in("audience"), "audience %s, but %s knows no %s: add them or close the area", a, brugereName, a)
			}
		}
	}
}

func (l *loader) brugereFile(name string, data []byte) {
	l.brugere = true
	var f brugereFile
	doc, err := yamlfile.Decode(name, data, &f)
	if err != nil {
		l.fail(err)
		return
	}
	p := place{file: name, doc: doc}
	l.axis(Kommune, f.Kommune, p.in("kommune"))
	l.axis(Akasse, f.Akasse, p.in("akasse"))
	alle := Bruger{Axis: Alle}
	l.cat.brugere[Alle] = brugere{list: []Bruger{alle}, names: map[string]string{alle.Kode: "alle"}}
}

func (l *loader) axis(a Axis, files []brugerFile, p place) {
	known := brugere{codes: map[string]Bruger{}, names: map[string]string{}}
	seen := map[string]place{}
	for i, f := range files {
		p := p.in(i)
		if !validKode(f.Code) {
			l.errorf(p.in("code"), "code: want 1 to 16 digits or lower-case letters a-z, not only zeros")
			continue
		}
		bare := string(bareKode([]byte(f.Code)))
		if !once(l, seen, bare, p.in("code"), "the %s %s is listed twice: leading zeros do not count", a, f.Code) {
			continue
		}
		if strings.TrimSpace(f.Name) == "" {
			l.errorf(p, "%s %s has no name", a, f.Code)
		}
		b := Bruger{Axis: a, Kode: f.Code}
		known.list = append(known.list, b)
		known.codes[bare] = b
		known.names[f.Code] = f.Name
	}
	slices.SortFunc(known.list, Bruger.Compare)
	l.cat.brugere[a] = known
}
