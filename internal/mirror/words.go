package mirror

import (
	"encoding/csv"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"supstream/catalog"
)

// words are the lists that names and texts are made from.
type words struct {
	first, last, streets, companies, titles, sentences, odd []string
	weights                                                 map[catalog.Bruger]float64
}

func loadWords(fsys fs.FS) (*words, error) {
	w := &words{weights: map[catalog.Bruger]float64{}}
	for name, into := range map[string]*[]string{
		"fornavne": &w.first, "efternavne": &w.last, "veje": &w.streets, "virksomheder": &w.companies,
		"stillinger": &w.titles, "saetninger": &w.sentences, "saertegn": &w.odd,
	} {
		file := "mirror/" + name + ".txt"
		lines, err := readLines(fsys, file)
		if err != nil {
			return nil, err
		}
		*into = lines
	}
	for i, literal := range w.odd {
		text, err := strconv.Unquote(literal)
		if err != nil {
			return nil, fmt.Errorf("mirror/saertegn.txt: text %d is not a Go string literal: %w", i+1, err)
		}
		w.odd[i] = text
	}
	return w, w.loadWeights(fsys, "mirror/weights.csv")
}

// readLines returns the lines of a file that are neither empty nor comments.
func readLines(fsys fs.FS, file string) ([]string, error) {
	b, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s is empty", file)
	}
	return lines, nil
}

func (w *words) loadWeights(fsys fs.FS, file string) error {
	f, err := fsys.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment, r.FieldsPerRecord = '#', 3
	records, err := r.ReadAll()
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for i, rec := range records[1:] {
		axis, err := catalog.ParseAxis(rec[0])
		if err != nil {
			return fmt.Errorf("%s: record %d: %w", file, i+2, err)
		}
		weight, err := strconv.ParseFloat(rec[2], 64)
		if err != nil || weight <= 0 {
			return fmt.Errorf("%s: record %d: the weight is not a positive number", file, i+2)
		}
		w.weights[catalog.Bruger{Axis: axis, Kode: rec[1]}] = weight
	}
	return nil
}

// lottery draws codes of an axis in proportion to their weights.
type lottery struct {
	codes []string
	upTo  []float64 // running sum of the weights
}

func newLottery(c *catalog.Catalog, axis catalog.Axis, w *words) lottery {
	var l lottery
	sum := 0.0
	for _, b := range c.Brugere(axis) {
		weight, known := w.weights[b]
		if !known {
			weight = 10
		}
		sum += weight
		l.codes, l.upTo = append(l.codes, b.Kode), append(l.upTo, sum)
	}
	return l
}

// draw returns a code, "" when the axis has none.
func (l lottery) draw(r rng) string {
	if len(l.codes) == 0 {
		return ""
	}
	x := r.Float64() * l.upTo[len(l.upTo)-1]
	lo, hi := 0, len(l.upTo)-1
	for lo < hi {
		if mid := (lo + hi) / 2; x < l.upTo[mid] {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return l.codes[lo]
}
