package ops

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFile = "grafana/dashboards/supstream.json"

type dashboard struct {
	UID           string  `json:"uid"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID string `json:"refId"`
		Expr  string `json:"expr"`
	} `json:"targets"`
	Panels []panel `json:"panels"`
}

func (p panel) overlaps(o panel) bool {
	a, b := p.GridPos, o.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

// TestDashboard checks that the dashboard can be shown and that every expression has something to show.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "supstream" || d.SchemaVersion < 41 || len(d.Panels) < 20 {
		t.Fatalf("uid %q, schema version %d, %d panels", d.UID, d.SchemaVersion, len(d.Panels))
	}
	code := registered(t)
	variables := []string{"__rate_interval"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if v.Type != "query" {
			continue
		}
		var q struct {
			Query string `json:"query"`
		}
		if err := json.Unmarshal(v.Query, &q); err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(q.Query); m == nil || m[2] != v.Name || len(unknownMetrics(code, m[1])) > 0 {
			t.Errorf("variable %s: %s", v.Name, q.Query)
		}
	}
	shown := map[string]bool{}
	var expressions []string
	for i, p := range d.Panels {
		if p.Title == "" || p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X < 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q lies at %+v", p.ID, p.Title, p.GridPos)
		}
		for _, o := range d.Panels[:i] {
			if p.ID == o.ID {
				t.Errorf("panels %q and %q have the same id %d", p.Title, o.Title, p.ID)
			}
			if p.overlaps(o) {
				t.Errorf("panels %q and %q overlap", p.Title, o.Title)
			}
		}
		if len(p.Panels) > 0 || (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %q: a row has neither panels in it nor targets, everything else has targets", p.Title)
		}
		if p.Type != "row" && p.Type != "table" && !slices.Contains([]string{"s", "bytes", "Bps", "ops", "percentunit", "none"}, p.FieldConfig.Defaults.Unit) {
			t.Errorf("panel %q has unit %q", p.Title, p.FieldConfig.Defaults.Unit)
		}
		var refs []string
		for _, target := range p.Targets {
			if slices.Contains(refs, target.RefID) {
				t.Errorf("panel %q: two targets %s", p.Title, target.RefID)
			}
			refs = append(refs, target.RefID)
			if unknown := unknownMetrics(code, target.Expr); len(unknown) > 0 {
				t.Errorf("panel %q: no such metrics: %v", p.Title, unknown)
			}
			for _, name := range metricNames(target.Expr) {
				shown[strings.TrimSuffix(name, "_bucket")] = true
			}
			for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(variables, m[1]) {
					t.Errorf("panel %q: no variable %s", p.Title, m[1])
				}
			}
			expressions = append(expressions, strings.NewReplacer("$__rate_interval", "5m", "$job", "supstream", "$dataomraade", ".*").Replace(target.Expr))
		}
	}
	checkExpressions(t, expressions)
	for name := range code {
		if strings.HasPrefix(name, "supstream_") && !shown[name] {
			t.Errorf("%s is in no panel", name)
		}
	}
}
