package ops

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// image is what the Dockerfile says.
type image struct {
	stages      []string // names
	user        string   // of the last stage
	health      []string
	entry, args []string
	copies      []string // files of the repository
	text        string
}

func dockerfile(t *testing.T) image {
	t.Helper()
	d := image{text: read(t, "../Dockerfile")}
	list := func(text string) (out []string) {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Errorf("Dockerfile: %s: %v", text, err)
		}
		return out
	}
	for line := range strings.Lines(d.text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		rest := strings.TrimSpace(strings.TrimPrefix(line, words[0]))
		switch words[0] {
		case "FROM":
			d.user, d.health, d.entry, d.args = "", nil, nil, nil
			if len(words) == 4 && words[2] == "AS" {
				d.stages = append(d.stages, words[3])
			}
		case "USER":
			d.user = rest
		case "HEALTHCHECK":
			d.health = list(rest[strings.Index(rest, "["):])
		case "ENTRYPOINT":
			d.entry = list(rest)
		case "CMD":
			d.args = list(rest)
		case "COPY":
			from := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--from=") })
			if !from {
				d.copies = append(d.copies, words[1:len(words)-1]...)
			}
		case "WORKDIR", "RUN", "EXPOSE", "VOLUME":
		default:
			t.Errorf("Dockerfile: instruction %s", words[0])
		}
	}
	return d
}

// TestDockerfile checks what the Dockerfile names, and that the program in the image is static, without root, and knows its command.
func TestDockerfile(t *testing.T) {
	d := dockerfile(t)
	for _, name := range d.copies {
		if !fileExists(filepath.Join("..", name)) {
			t.Errorf("Dockerfile copies %s, which is not there", name)
		}
	}
	goVersion := regexp.MustCompile(`(?m)^go (.+)$`).FindStringSubmatch(read(t, "../go.mod"))[1]
	for _, want := range []string{
		"FROM golang:" + goVersion + "-", "CGO_ENABLED=0 go build", "\nFROM gcr.io/distroless/static-debian12:nonroot\n", "\nEXPOSE " + portOf(t, settings(t, program(t))["http.listen"]) + "\n",
	} {
		if !strings.Contains(d.text, want) {
			t.Errorf("Dockerfile has no %q", want)
		}
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(d.user) {
		t.Errorf("the image runs as %q; want numbers that are not root's", d.user)
	}
	if len(d.entry) != 1 || d.health[0] != d.entry[0] || !strings.Contains(d.text, "/out/supstream "+d.entry[0]+"\n") {
		t.Errorf("entry point %v, health check %v", d.entry, d.health)
	}
	supstream := program(t)
	checkCommand(t, supstream, d.args...)
	checkCommand(t, supstream, d.health[1:]...)
	checkCommand(t, supstream, "catalog", "sql")
}
