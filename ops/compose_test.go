package ops

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"supstream/internal/yamlfile"
)

// loadCompose reads docker-compose.yml as `docker compose --env-file ops/demo.env` does.
func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root),
		cli.WithEnvFiles(filepath.Join(root, "ops", "demo.env")), cli.WithDotEnv)
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// program builds supstream once for a test.
func program(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "supstream")
	if out, err := exec.Command("go", "build", "-o", name, "supstream/cmd/supstream").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return name
}

// settings are what the program makes of the compose file's configuration.
func settings(t *testing.T, program string) map[string]string {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, args := range [][]string{{"config", "check"}, {"config", "show"}} {
		cmd := exec.Command(program, args...)
		cmd.Env = []string{"SUPSTREAM_CONFIG=supstream.yaml", "SUPSTREAM_POSTGRES_PASSWORD_FILE=" + password}
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("supstream %s: %v\n%s", strings.Join(args, " "), err, text)
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			out[key] = value
		}
	}
	return out
}

// TestCompose checks that everything that docker-compose.yml names exists: files, folders, secrets, variables, commands and hosts with their ports.
func TestCompose(t *testing.T) {
	p := loadCompose(t)
	supstream := program(t)
	config := settings(t, supstream)

	secrets := demoEnv(t)
	for name, s := range p.Secrets {
		value, ok := secrets[s.Environment]
		if !ok || s.File != "" {
			t.Errorf("secret %s is from variable %q and file %q; want a variable of demo.env", name, s.Environment, s.File)
		}
		if !strings.HasPrefix(value, "demo-only-") {
			t.Errorf("demo.env: %s does not say that it is for demonstrations", s.Environment)
		}
		delete(secrets, s.Environment)
	}
	if len(secrets) > 0 {
		t.Errorf("demo.env has variables that nothing uses: %v", slices.Sorted(maps.Keys(secrets)))
	}
	if want := []string{"grafana", "nats", "postgres", "prometheus", "supstream"}; !slices.Equal(p.ServiceNames(), want) {
		t.Fatalf("services are %v, want %v", p.ServiceNames(), want)
	}
	for name, s := range p.Services {
		checkMounts(t, p, s)
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" || port.Published != strconv.Itoa(int(port.Target)) {
				t.Errorf("%s: port %s:%s:%d; want the same port, on 127.0.0.1 only", name, port.HostIP, port.Published, port.Target)
			}
		}
		if s.Build != nil {
			if s.Build.Context != p.WorkingDir || !fileExists(filepath.Join(s.Build.Context, cmp.Or(s.Build.Dockerfile, "Dockerfile"))) {
				t.Errorf("%s: no Dockerfile in %s", name, s.Build.Context)
			}
		} else if !regexp.MustCompile(`^[a-z/]+:v?\d+\.\d+\.\d+(-alpine)?$`).MatchString(s.Image) {
			t.Errorf("%s: image %q has no exact version", name, s.Image)
		}
		checkEnvironment(t, s)
	}
	if stage := p.Services["postgres"].Build.Target; !slices.Contains(dockerfile(t).stages, stage) {
		t.Errorf("postgres: Dockerfile has no stage %q", stage)
	}

	// Commands that the program must know.
	s := p.Services["supstream"]
	if s.HealthCheck.Test[0] != "CMD" || !slices.Equal(s.HealthCheck.Test[1:], dockerfile(t).health) {
		t.Errorf("healthcheck is %v, in the image %v", s.HealthCheck.Test, dockerfile(t).health)
	}
	checkCommand(t, supstream, s.Command...)
	checkCommand(t, supstream, s.HealthCheck.Test[2:]...)

	// Hosts and ports that one container knows another by.
	listens := map[string]string{
		"postgres":   "5432", // the images' own
		"prometheus": "9090",
		"grafana":    "3000",
		"supstream":  portOf(t, config["http.listen"]),
		"nats":       strconv.Itoa(natsOptions(t).Port),
		"nats http":  strconv.Itoa(natsOptions(t).HTTPPort),
	}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if strconv.Itoa(int(port.Target)) != listens[name] {
				t.Errorf("%s listens at port %s, %d is published", name, listens[name], port.Target)
			}
		}
	}
	postgres := p.Services["postgres"]
	db, err := url.Parse(regexp.MustCompile(`postgres://\S+`).FindString(read(t, "supstream.yaml")))
	if err != nil || db.Host != "postgres:"+listens["postgres"] || db.Path != "/"+*postgres.Environment["POSTGRES_DB"] || db.User.String() != "supstream" {
		t.Errorf("supstream.yaml: postgres.url %v, database %s", db, *postgres.Environment["POSTGRES_DB"])
	}
	for what, check := range map[string][2]string{
		"nats.url":                   {config["nats.url"], "nats://nats:" + listens["nats"]},
		"nats.monitor":               {config["nats.monitor"], "[http://nats:" + listens["nats http"] + "]"},
		"healthcheck of nats":        {p.Services["nats"].HealthCheck.Test[5], "http://127.0.0.1:" + listens["nats http"] + "/healthz"},
		"target of Prometheus":       {regexp.MustCompile(`targets: \[(supstream.*)\]`).FindStringSubmatch(read(t, "prometheus.yml"))[1], "supstream:" + listens["supstream"]},
		"data source of Grafana":     {regexp.MustCompile(`url: (.*)`).FindStringSubmatch(read(t, "grafana/provisioning/datasources/prometheus.yml"))[1], "http://prometheus:" + listens["prometheus"]},
		"data_dir":                   {config["data_dir"], mountOf(s, "supstream")},
		"configuration":              {*s.Environment["SUPSTREAM_CONFIG"], mountOf(s, "ops/supstream.yaml")},
		"configuration of nats":      {p.Services["nats"].Command[1], mountOf(p.Services["nats"], "ops/nats.conf")},
		"store of nats":              {natsOptions(t).StoreDir, mountOf(p.Services["nats"], "nats")},
		"dashboards of Grafana":      {regexp.MustCompile(`path: (.*)`).FindStringSubmatch(read(t, "grafana/provisioning/dashboards/supstream.yml"))[1], mountOf(p.Services["grafana"], "ops/grafana/dashboards")},
		"rules beside prometheus":    {filepath.Dir(mountOf(p.Services["prometheus"], "ops/alerts.yml")), filepath.Dir(mountOf(p.Services["prometheus"], "ops/prometheus.yml"))},
		"user in the image":          {s.User, dockerfile(t).user},
		"user of the secret":         {s.Secrets[0].UID + ":" + s.Secrets[0].GID, s.User},
		"rights of the secret":       {fmt.Sprintf("%#o", *s.Secrets[0].Mode), "0400"},
		"password of the role":       {*s.Environment["SUPSTREAM_POSTGRES_PASSWORD_FILE"], *postgres.Environment["SUPSTREAM_PASSWORD_FILE"]},
		"password of the super user": {*postgres.Environment["POSTGRES_PASSWORD_FILE"], "/run/secrets/postgres_password"},
	} {
		if check[0] != check[1] || check[0] == "" {
			t.Errorf("%s: %q does not fit %q", what, check[0], check[1])
		}
	}
	// Whoever talks to whom shares a network.
	for _, pair := range [][2]string{{"supstream", "postgres"}, {"supstream", "nats"}, {"prometheus", "supstream"}, {"grafana", "prometheus"}} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(p.Services[pair[0]].Networks)), func(n string) bool {
			_, shared := p.Services[pair[1]].Networks[n]
			return shared
		}) {
			t.Errorf("%s and %s share no network", pair[0], pair[1])
		}
	}
	if batch, err := strconv.Atoi(config["capture.batch_events"]); err != nil || batch > natsOptions(t).JetStreamLimits.MaxBatchSize {
		t.Errorf("capture.batch_events is %s, nats.conf allows %d", config["capture.batch_events"], natsOptions(t).JetStreamLimits.MaxBatchSize)
	}
}

// checkMounts finds files that are not there and volumes that are not declared.
func checkMounts(t *testing.T, p *types.Project, s types.ServiceConfig) {
	t.Helper()
	for _, v := range s.Volumes {
		switch v.Type {
		case types.VolumeTypeBind:
			if !fileExists(v.Source) || !v.ReadOnly {
				t.Errorf("%s: %s is not there, or is mounted for writing", s.Name, v.Source)
			}
		case types.VolumeTypeVolume:
			if _, ok := p.Volumes[v.Source]; !ok {
				t.Errorf("%s: volume %s is not declared", s.Name, v.Source)
			}
		default:
			t.Errorf("%s: mount of type %s", s.Name, v.Type)
		}
	}
	for _, secret := range s.Secrets {
		if _, ok := p.Secrets[secret.Source]; !ok {
			t.Errorf("%s: secret %s is not declared", s.Name, secret.Source)
		}
	}
}

// checkEnvironment finds variables that the container's program does not read, and files that are no secrets.
func checkEnvironment(t *testing.T, s types.ServiceConfig) {
	t.Helper()
	read := map[string][]string{
		"supstream": regexp.MustCompile(`SUPSTREAM_\w+`).FindAllString(read(t, "../cmd/supstream/config.go"), -1),
		"postgres":  append(regexp.MustCompile(`SUPSTREAM_\w+`).FindAllString(read(t, "postgres/20-supstream.sql"), -1), "POSTGRES_DB", "POSTGRES_PASSWORD_FILE"),
		"grafana":   {"GF_SECURITY_ADMIN_PASSWORD__FILE", "GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES", "GF_USERS_ALLOW_SIGN_UP"},
	}[s.Name]
	for name, value := range s.Environment {
		if !slices.Contains(read, name) {
			t.Errorf("%s: nothing reads the variable %s", s.Name, name)
		}
		if secret, ok := strings.CutPrefix(*value, "/run/secrets/"); ok && !slices.ContainsFunc(s.Secrets, func(f types.ServiceSecretConfig) bool { return f.Source == secret }) {
			t.Errorf("%s: %s names the secret %s, which it does not get", s.Name, name, secret)
		}
		if strings.Contains(name, "PASSWORD") && !strings.HasPrefix(*value, "/run/secrets/") {
			t.Errorf("%s: %s is not from a secret", s.Name, name)
		}
	}
}

// checkCommand has the program show help for a command: it knows the command and each of its flags.
func checkCommand(t *testing.T, program string, args ...string) {
	t.Helper()
	var words []string
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			words = append(words, a)
		}
	}
	out, err := exec.Command(program, append(words, "--help")...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\n  supstream "+strings.Join(words, " ")) {
		t.Errorf("supstream %s --help: %v\n%s", strings.Join(words, " "), err, out)
	}
	for _, a := range args {
		if flag, _, _ := strings.Cut(a, "="); strings.HasPrefix(a, "-") && !strings.Contains(string(out), flag+" ") {
			t.Errorf("supstream %s has no flag %s", strings.Join(words, " "), flag)
		}
	}
}

// mountOf is where a container sees a file of the repository or a volume.
func mountOf(s types.ServiceConfig, source string) string {
	for _, v := range s.Volumes {
		if v.Source == source || v.Type == types.VolumeTypeBind && strings.HasSuffix(v.Source, "/"+source) {
			return v.Target
		}
	}
	return ""
}

func demoEnv(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(read(t, "demo.env")))
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			out[name] = value
		}
	}
	return out
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// TestProvisioning reads Grafana's files strictly: an unknown key is a mistake that Grafana would not tell.
func TestProvisioning(t *testing.T) {
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool              `yaml:"isDefault"`
			Editable                     bool              `yaml:"editable"`
			JSONData                     map[string]string `yaml:"jsonData"`
		} `yaml:"datasources"`
	}
	const name = "grafana/provisioning/datasources/prometheus.yml"
	if _, err := yamlfile.Decode(name, []byte(read(t, name)), &sources); err != nil {
		t.Error(err)
	} else if d := sources.Datasources[0]; d.Type != "prometheus" || d.JSONData["timeInterval"] != regexp.MustCompile(`scrape_interval: (\w+)`).FindStringSubmatch(read(t, "prometheus.yml"))[1] {
		t.Errorf("%s: %+v", name, d)
	}
}
