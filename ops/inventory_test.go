package ops

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/projections"
	"supstream/streams"
)

const runbook = "../docs/OPERATIONS.md"

// metric is what code registers, or what the documentation says.
type metric struct{ kind, labels string }

// recorder registers collectors and notes what kinds they are.
type recorder struct {
	*prometheus.Registry
	kinds map[string]string
}

func (r *recorder) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

func (r *recorder) Register(c prometheus.Collector) error {
	kind := ""
	switch c.(type) {
	case *prometheus.CounterVec:
		kind = "counter"
	case *prometheus.GaugeVec:
		kind = "gauge"
	case *prometheus.HistogramVec:
		kind = "histogram"
	}
	for _, d := range describe(c) {
		r.kinds[d[0]] = kind
	}
	return r.Registry.Register(c)
}

// describe lists name and labels of what a collector collects.
func describe(c prometheus.Collector) [][2]string {
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		c.Describe(ch)
	}()
	re := regexp.MustCompile(`^Desc\{fqName: "(\w+)".* variableLabels: \{([\w,]*)\}\}$`)
	var out [][2]string
	for d := range ch {
		m := re.FindStringSubmatch(d.String())
		if m == nil {
			panic("a description has another form: " + d.String())
		}
		out = append(out, [2]string{m[1], m[2]})
	}
	return out
}

// registered are all metrics of a process with all roles.
func registered(t *testing.T) map[string]metric {
	t.Helper()
	reg := &recorder{prometheus.NewRegistry(), map[string]string{}}
	capture.NewMetrics(reg)
	streams.NewMetrics(reg)
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	runner, err := projections.NewRunner(projections.DefaultConfig(t.TempDir()), projections.Parts{Catalog: cat, Log: quiet(t), Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Listen(Config{
		Listen: "127.0.0.1:0", Registry: reg.Registry, Log: slog.New(slog.DiscardHandler), Disks: []Disk{{"data", t.TempDir()}},
		Store: func() (used, limit int64, err error) { return 0, 0, nil },
		Alive: []Check{{Name: "x", Run: func(context.Context) error { return nil }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	s.round(t.Context())

	out := map[string]metric{}
	for _, d := range describe(reg.Registry) {
		out[d[0]] = metric{reg.kinds[d[0]], d[1]}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families { // what has a value tells its kind itself; the collectors of Go and the process describe less than they give
		m := out[f.GetName()]
		m.kind = strings.ToLower(f.GetType().String())
		out[f.GetName()] = m
	}
	return out
}

// TestMetricsAreDocumented compares the metrics in the code with the tables of the documentation.
func TestMetricsAreDocumented(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `(supstream_\\w+)` \\| (\\w+) \\|([^|]*)\\|([^|]+)\\|([^|]*)\\|$") // name, kind, labels, meaning, normal
	documented := map[string]metric{}
	doc := read(t, runbook)
	for _, m := range row.FindAllStringSubmatch(doc, -1) {
		if _, twice := documented[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		documented[m[1]] = metric{m[2], strings.NewReplacer("`", "", ", ", ",", " ", "").Replace(m[3])}
	}
	code := registered(t)
	for name, m := range code {
		if !strings.HasPrefix(name, "supstream_") {
			continue
		}
		if want := sortedLabels(m); sortedLabels(documented[name]) != want {
			t.Errorf("%s is %s; the documentation says %s", name, want, sortedLabels(documented[name]))
		}
		if (m.kind == "counter") != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %s: counters, and only they, end in _total", name, m.kind)
		}
	}
	for name := range documented {
		if _, ok := code[name]; !ok {
			t.Errorf("%s is documented and does not exist", name)
		}
	}
	for _, name := range regexp.MustCompile(`supstream_[a-z_]*[a-z]`).FindAllString(doc, -1) {
		if _, ok := code[name]; !ok && name != "supstream_password" {
			t.Errorf("%s is mentioned in %s and does not exist", name, runbook)
		}
	}
}

func sortedLabels(m metric) string {
	labels := strings.Split(m.labels, ",")
	slices.Sort(labels)
	return fmt.Sprintf("a %s with labels [%s]", m.kind, strings.Join(labels, " "))
}

// TestNoOtherMetrics finds names of metrics, in files that make some, that no constructor above registers.
func TestNoOtherMetrics(t *testing.T) {
	code := registered(t)
	literal := regexp.MustCompile(`"(supstream_[a-z_]+)"`)
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return err
		}
		if top := strings.Split(p, string(filepath.Separator))[1]; !slices.Contains([]string{"capture", "streams", "projections", "sinks", "agreements", "ops"}, top) {
			return nil
		}
		text := read(t, p)
		if !strings.Contains(text, `"github.com/prometheus/client_golang/prometheus"`) {
			return nil
		}
		for _, m := range literal.FindAllStringSubmatch(text, -1) {
			seen[m[1]] = true
			if _, ok := code[m[1]]; !ok {
				t.Errorf("%s: %s is not registered by the constructors that this test knows: add it to registered and to %s", p, m[1], runbook)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 20 {
		t.Errorf("found only %d names: this test looks at the wrong place", len(seen))
	}
}

// unknownMetrics lists the names in PromQL expressions that no process of ours has.
func unknownMetrics(code map[string]metric, expressions ...string) []string {
	unknown := map[string]bool{}
	for _, e := range expressions {
		for _, name := range metricNames(e) {
			base := name
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if b, ok := strings.CutSuffix(name, suffix); ok && code[b].kind == "histogram" {
					base = b
				}
			}
			if _, ok := code[base]; !ok && name != "up" { // up is Prometheus' own
				unknown[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(unknown))
}

// metricNames lists the metrics that a PromQL expression names.
func metricNames(expression string) []string {
	for _, strip := range []string{
		`"[^"]*"`, `\{[^}]*\}`, `\[[^\]]*\]`, // strings, matchers, ranges
		`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`, `\b\d[\w.]*`, // lists of labels, numbers and durations
		`\b\w+\s*\(`, `\b(and|or|unless|offset|bool)\b`, // functions, words
	} {
		expression = regexp.MustCompile(strip).ReplaceAllString(expression, " ")
	}
	return regexp.MustCompile(`[a-zA-Z_:][\w:]*`).FindAllString(expression, -1)
}

func TestMetricNames(t *testing.T) {
	for expression, want := range map[string]string{
		`up{job="x"} == 0`: "up",
		`sum by (le, job) (rate(a_bucket{job="b_total"}[5m])) > 1e3`:                        "a_bucket",
		`time() - a > on (job) group_left () (1.2 * b > 0) + 900`:                           "a b",
		`max by (job)(a) > 0 unless sum(increase(b[15m])) > 0 or c offset 1h and absent(d)`: "a b c d",
	} {
		if got := strings.Join(metricNames(expression), " "); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
