package ops

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"supstream/internal/yamlfile"
)

// promtool runs Prometheus' own checker in dir and returns what it says.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing; install it with: apt-get install --no-install-recommends prometheus")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

type alertFile struct {
	Groups []struct {
		Name  string      `yaml:"name"`
		Rules []alertRule `yaml:"rules"`
	} `yaml:"groups"`
}

type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func loadAlerts(t *testing.T) []alertRule {
	t.Helper()
	var f alertFile
	if _, err := yamlfile.Decode("alerts.yml", []byte(read(t, "alerts.yml")), &f); err != nil {
		t.Fatal(err)
	}
	var out []alertRule
	for _, g := range f.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// TestAlerts has Prometheus' checker read the configuration and the alerts, and fire each.
func TestAlerts(t *testing.T) {
	promtool(t, ".", "check", "config", "prometheus.yml")
	promtool(t, ".", "test", "rules", "alerts_test.yml")
}

// TestEveryAlertIsTested finds alerts that alerts_test.yml does not show firing and not firing.
func TestEveryAlertIsTested(t *testing.T) {
	type tested struct{ fires, quiet bool }
	have := map[string]tested{}
	for _, m := range regexp.MustCompile(`(?m)- alertname: (\w+).*\n +eval_time: .*\n +exp_alerts:(.*)$`).FindAllStringSubmatch(read(t, "alerts_test.yml"), -1) {
		is := have[m[1]]
		if strings.TrimSpace(m[2]) == "[]" {
			is.quiet = true
		} else {
			is.fires = true
		}
		have[m[1]] = is
	}
	for _, a := range loadAlerts(t) {
		if have[a.Alert] != (tested{true, true}) {
			t.Errorf("%s: alerts_test.yml shows it firing: %v, and quiet: %v", a.Alert, have[a.Alert].fires, have[a.Alert].quiet)
		}
	}
}

// TestRunbook compares alerts and documentation: each alert has a section that says how severe it is, each link leads somewhere.
func TestRunbook(t *testing.T) {
	code := registered(t)
	doc := read(t, runbook)
	sections := map[string]string{} // first line by anchor
	lines := strings.Split(doc, "\n")
	for i, line := range lines {
		title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		if _, twice := sections[anchorOf(title)]; twice {
			t.Errorf("%s: two sections are called %q", runbook, title)
		}
		sections[anchorOf(title)] = lines[i+2]
	}
	for _, m := range regexp.MustCompile(`\(#([^)]*)\)`).FindAllStringSubmatch(doc, -1) {
		if _, ok := sections[m[1]]; !ok {
			t.Errorf("%s: no section for the link #%s", runbook, m[1])
		}
	}
	var alerts []string
	for _, a := range loadAlerts(t) {
		alerts = append(alerts, a.Alert)
		anchor, ok := strings.CutPrefix(a.Annotations["runbook"], "docs/OPERATIONS.md#")
		first := sections[anchor]
		severity := a.Labels["severity"]
		if !ok || anchor != anchorOf(a.Alert) || first == "" {
			t.Errorf("%s: runbook is %q, want docs/OPERATIONS.md#%s, and a section there", a.Alert, a.Annotations["runbook"], anchorOf(a.Alert))
		} else if word, _, _ := strings.Cut(first, "."); strings.ToLower(word) != severity {
			t.Errorf("%s: severity is %q and its section begins with %q", a.Alert, severity, word)
		}
		if !slices.Contains([]string{"critical", "warning"}, severity) || a.Annotations["summary"] == "" {
			t.Errorf("%s: severity %q, summary %q", a.Alert, severity, a.Annotations["summary"])
		}
		if unknown := unknownMetrics(code, a.Expr); len(unknown) > 0 {
			t.Errorf("%s: no such metrics: %v", a.Alert, unknown)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Supstream\w+)$`).FindAllStringSubmatch(doc, -1) {
		if !slices.Contains(alerts, m[1]) {
			t.Errorf("%s: section %s is of no alert", runbook, m[1])
		}
	}
}

// anchorOf is the anchor that a heading gets.
func anchorOf(heading string) string {
	s := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(s, " ", "-")
}

// checkExpressions has promtool parse expressions.
func checkExpressions(t *testing.T, expressions []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("groups:\n  - name: expressions\n    rules:\n")
	for _, e := range expressions {
		b.WriteString("      - record: x\n        expr: '" + strings.ReplaceAll(e, "'", "''") + "'\n        labels: {at: '" + strings.ReplaceAll(e, "'", "''") + "'}\n")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "rules.yml")
}
