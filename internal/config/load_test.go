package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"wirelake/internal/config"
)

type sensorConfig struct {
	Size     config.Size    `koanf:"chunk_size" help:"seal at this size"`
	Age      time.Duration  `koanf:"chunk_age" help:"seal at this age"`
	Networks []netip.Prefix `koanf:"networks" help:"ours"`
	Names    []string       `koanf:"names"`
}

func (c sensorConfig) Validate() error {
	var errs []error
	if c.Size < config.KiB {
		errs = append(errs, fmt.Errorf("chunk_size: %v is under 1KiB", c.Size))
	}
	if c.Age <= 0 {
		errs = append(errs, fmt.Errorf("chunk_age: %v is not positive", c.Age))
	}
	return errors.Join(errs...)
}

type elasticConfig struct {
	URL      string        `koanf:"url"`
	Password config.Secret `koanf:"password"`
	HotDays  int           `koanf:"hot_days"`
}

// SetDefaults is for the section that is held by pointer.
func (c *elasticConfig) SetDefaults() { c.HotDays = 14 }

func (c *elasticConfig) Validate() error {
	if c.URL == "" {
		return errors.New("url: is missing")
	}
	return nil
}

type userConfig struct {
	Name  string   `koanf:"name"`
	Roles []string `koanf:"roles"`
}

func (u userConfig) Validate() error {
	if u.Name == "" {
		return errors.New("name: is empty")
	}
	return nil
}

type common struct {
	Store string     `koanf:"store" help:"where | all is"`
	Level slog.Level `koanf:"level"`
}

type testConfig struct {
	common
	Sensor   sensorConfig      `koanf:"sensor"`
	Elastic  *elasticConfig    `koanf:"elastic"`
	Users    []userConfig      `koanf:"users"`
	Labels   map[string]string `koanf:"labels"`
	Rate     float64           `koanf:"rate"`
	Workers  uint8             `koanf:"workers"`
	Enabled  bool              `koanf:"enabled"`
	Internal string            // no setting
}

func defaults() testConfig {
	return testConfig{
		common:  common{Store: "file://default"},
		Sensor:  sensorConfig{Size: 256 * config.MiB, Age: time.Minute, Names: []string{"a", "b"}},
		Labels:  map[string]string{"site": "one"},
		Workers: 4, Rate: 1,
	}
}

// load reads the file's text and the rest of the source.
func load(t *testing.T, text string, src config.Source) (testConfig, map[string]config.Origin, error) {
	t.Helper()
	src.File = filepath.Join(t.TempDir(), "wirelake.yaml")
	if err := os.WriteFile(src.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	origins, err := config.Load(&cfg, src)
	return cfg, origins, err
}

func TestDefaultsAlone(t *testing.T) {
	cfg := defaults()
	origins, err := config.Load(&cfg, config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(cfg, defaults()) || len(origins) != 0 {
		t.Errorf("got %+v, %v", cfg, origins)
	}
	for _, empty := range []string{"", "# comment\n", "---\n", "{}", "sensor:\nusers:\n", "~"} {
		if got, _, err := load(t, empty, config.Source{}); err != nil || !reflect.DeepEqual(got, defaults()) {
			t.Errorf("file %q: got %+v, %v", empty, got, err)
		}
	}
}

func TestFile(t *testing.T) {
	cfg, origins, err := load(t, `
store: s3://bucket/prefix
level: debug
sensor:
  chunk_size: 64MiB
  chunk_age: 8m
  networks:
    - 10.0.0.0/8
    - 2001:db8::/32
  names: [x, "y, z"]
elastic:
  url: http://127.0.0.1:9200
users:
  - name: ada
    roles: [admin]
  - name: no
labels: {rack: "7"}
rate: 0.5
workers: 8
enabled: true
`, config.Source{})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Store, want.Level = "s3://bucket/prefix", slog.LevelDebug
	want.Sensor = sensorConfig{
		Size: 64 * config.MiB, Age: 8 * time.Minute, Names: []string{"x", "y, z"},
		Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
	}
	want.Elastic = &elasticConfig{URL: "http://127.0.0.1:9200", HotDays: 14}
	want.Users = []userConfig{{Name: "ada", Roles: []string{"admin"}}, {Name: "no"}} // YAML 1.1 would read false
	want.Labels = map[string]string{"site": "one", "rack": "7"}
	want.Rate, want.Workers, want.Enabled = 0.5, 8, true
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
	for path, line := range map[string]int{"store": 2, "sensor.chunk_age": 6, "sensor.networks[1]": 9, "users[1].name": 16} {
		if want := config.Origin(fmt.Sprintf("wirelake.yaml:%d", line)); origins[path] != want {
			t.Errorf("%s was set at %q, want %q", path, origins[path], want)
		}
	}
	if defaults().Labels["rack"] != "" {
		t.Error("the defaults' own map was written to")
	}
}

func TestLaterLayersWin(t *testing.T) {
	text := "store: from-file\nworkers: 1\nrate: 1\nsensor:\n  names: [f1, f2, f3]\n  chunk_age: 1s\n"
	cfg, origins, err := load(t, text, config.Source{
		Environ: []string{
			"WIRELAKE_STORE=from-env", "WIRELAKE_WORKERS=2", "WIRELAKE_SENSOR_NAMES=e1, e2",
			"WIRELAKE_ELASTIC_URL=http://env", "WIRELAKE_ELASTIC_PASSWORD=hunter2", "WIRELAKE_LABELS=a=1, b=2",
			"WIRELAKE_RATE=", "PATH=/bin", "WIRELAKE_CONFIG=x",
			"WIRELAKE_SERVICE_HOST=10.0.0.1", "WIRELAKE_QUERY_PORT_8080_TCP_ADDR=10.0.0.2", // of Kubernetes
		},
		Flags:     []config.Flag{{Path: "store", Name: "store", Value: "from-flag"}},
		IgnoreEnv: []string{"WIRELAKE_CONFIG"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Store, want.Workers = "from-flag", 2
	want.Sensor.Names, want.Sensor.Age = []string{"e1", "e2"}, time.Second
	want.Elastic = &elasticConfig{URL: "http://env", Password: "hunter2", HotDays: 14}
	want.Labels = map[string]string{"site": "one", "a": "1", "b": "2"}
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got  %+v\nwant %+v", cfg, want)
	}
	for path, want := range map[string]config.Origin{
		"store": "flag --store", "workers": "environment WIRELAKE_WORKERS", "sensor.chunk_age": "wirelake.yaml:6",
		"sensor.names": "environment WIRELAKE_SENSOR_NAMES", "sensor.names[0]": "", "level": "",
	} {
		if origins[path] != want {
			t.Errorf("%s was set by %q, want %q", path, origins[path], want)
		}
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	_, _, err := load(t, `store: [a, b]
stoer: x
sensor:
  chunk_size: 12
  chunk_age: soon
  networks: [10.0.0.0/8, 10.0.0/8]
  names: {a: b}
elastic:
  password: hunter2
users:
  - roles: []
  -
workers: 300
rate: NaN
enabled: yes
level:
  deep: 1
`, config.Source{
		Environ: []string{"WIRELAKE_SENSOR_CHUNK_AG=1m", "WIRELAKE_USERS=ada"},
		Flags:   []config.Flag{{Path: "workers", Name: "workers", Value: "-1"}, {Path: "nothing", Name: "none", Value: "1"}},
	})
	var bad *config.Error
	if !errors.As(err, &bad) {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, p := range bad.Problems {
		got = append(got, p.String())
	}
	want := []string{
		`wirelake.yaml:1: store: must be a single value (text)`,
		`wirelake.yaml:2: stoer: unknown setting: did you mean store?`,
		`wirelake.yaml:4: sensor.chunk_size: 12 is under 1KiB`,
		`wirelake.yaml:5: sensor.chunk_age: "soon" is not a duration such as 90s, 8m or 7d`,
		`wirelake.yaml:6: sensor.networks[1]: netip.ParsePrefix("10.0.0/8"): ParseAddr("10.0.0"): IPv4 address too short`,
		`wirelake.yaml:7: sensor.names: must be a list of text`,
		`wirelake.yaml:8: elastic.url: is missing`,
		`wirelake.yaml:9: elastic.password: a secret is taken from the environment only: set WIRELAKE_ELASTIC_PASSWORD`,
		`wirelake.yaml:11: users[0].name: is empty`,
		`wirelake.yaml:12: users[1]: is empty`,
		`wirelake.yaml:12: users[1].name: is empty`,
		`wirelake.yaml:14: rate: "NaN" is not a number`,
		`wirelake.yaml:15: enabled: "yes" is neither true nor false`,
		`wirelake.yaml:16: level: must be a single value (level)`,
		`environment WIRELAKE_SENSOR_CHUNK_AG: no such setting: did you mean WIRELAKE_SENSOR_CHUNK_AGE?`,
		`environment WIRELAKE_USERS: users: does not fit in a variable: set it in the file`,
		`flag --none: nothing: no such setting`,
		`flag --workers: workers: "-1" is negative`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if !strings.HasPrefix(err.Error(), "configuration: 18 problems:\n  wirelake.yaml:1: store") {
		t.Errorf("the error reads %q", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the error tells a secret")
	}
}

func TestFilesThatAreNoConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"store: x\n  bad: y\n", "wirelake.yaml:2: not valid YAML: mapping values are not allowed"},
		{"- a\n- b\n", "wirelake.yaml:1: the file must hold settings"},
		{"text", "wirelake.yaml:1: the file must hold settings"},
		{"store: a\nstore: b\n", "wirelake.yaml:2: store: set twice, first on line 1"},
		{"store: &x a\nlabels: {a: *x}\n", "wirelake.yaml:2: aliases (*name) are not supported"},
		{"labels: &a {b: c}\nsensor:\n  <<: *a\n", "wirelake.yaml:3: a key must be a plain name"},
		{"{[a]: b}", "wirelake.yaml:1: a key must be a plain name"},
		{"sensor: 7", `wirelake.yaml:1: sensor: must hold settings ("name: value", indented below it)`},
		{"users: {}", "wirelake.yaml:1: users: must be a list of settings"},
		{"labels: [a]", "wirelake.yaml:1: labels: must be a map to text"},
		{"workers: 0x10", `wirelake.yaml:1: workers: "0x10" is not a whole number`},
		{"sensor.chunk_age: 1m", "wirelake.yaml:1: sensor.chunk_age: unknown setting"},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), "wirelake.yaml:1: the file must hold settings"},
		{"labels: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper than 32"},
		{"# " + strings.Repeat("x", 1<<20), "wirelake.yaml: the file is larger than 1MiB"},
		{"store: \x00", "wirelake.yaml: not valid YAML"},
	} {
		_, _, err := load(t, c.text, config.Source{})
		var bad *config.Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: got %v, want %q in it", c.text, err, c.want)
		}
	}
	cfg := defaults()
	if _, err := config.Load(&cfg, config.Source{File: "/missing.yaml"}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/missing.yaml") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := config.Load(cfg, config.Source{}); err == nil {
		t.Error("a struct that is not a pointer is no error")
	}
}

func TestDumpReadsBack(t *testing.T) {
	cfg, origins, err := load(t, "store: \"a: b # c\"\nsensor:\n  chunk_size: 3GiB\n  networks: [10.0.0.0/8]\nusers: [{name: ada, roles: [a, b]}]\nelastic: {url: \"\", hot_days: 3}\nlabels: {x: \"\"}\n",
		config.Source{Environ: []string{"WIRELAKE_ELASTIC_PASSWORD=hunter2", "WIRELAKE_ELASTIC_URL=http://e"}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := config.Dump(&out, cfg, origins); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"chunk_size: 3GiB # wirelake.yaml:3\n", "chunk_age: 1m # default\n", "url: http://e # environment WIRELAKE_ELASTIC_URL\n",
		"password: '[redacted]' # environment WIRELAKE_ELASTIC_PASSWORD\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("the dump tells a secret")
	}
	text := strings.Replace(out.String(), "password: '[redacted]'", "# password:", 1)
	again, _, err := load(t, text, config.Source{Environ: []string{"WIRELAKE_ELASTIC_PASSWORD=hunter2"}})
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if !reflect.DeepEqual(again, cfg) {
		t.Errorf("read back %+v\nfrom %+v", again, cfg)
	}
}

func TestSettings(t *testing.T) {
	var got []string
	for _, s := range config.Settings(defaults()) {
		got = append(got, strings.Join([]string{s.Path, s.Env, s.Type, s.Default, s.Help}, " | "))
	}
	want := []string{
		"store | WIRELAKE_STORE | text | file://default | where | all is",
		"level | WIRELAKE_LEVEL | level | INFO | ",
		"sensor.chunk_size | WIRELAKE_SENSOR_CHUNK_SIZE | size | 256MiB | seal at this size",
		"sensor.chunk_age | WIRELAKE_SENSOR_CHUNK_AGE | duration | 1m | seal at this age",
		"sensor.networks | WIRELAKE_SENSOR_NETWORKS | list of prefix |  | ours",
		"sensor.names | WIRELAKE_SENSOR_NAMES | list of text | [a, b] | ",
		"elastic.url | WIRELAKE_ELASTIC_URL | text |  | ",
		"elastic.password | WIRELAKE_ELASTIC_PASSWORD | secret |  | ",
		"elastic.hot_days | WIRELAKE_ELASTIC_HOT_DAYS | integer |  | ",
		"users |  | list of settings |  | ",
		"labels | WIRELAKE_LABELS | map to text | {site: one} | ",
		"rate | WIRELAKE_RATE | number | 1 | ",
		"workers | WIRELAKE_WORKERS | integer | 4 | ",
		"enabled | WIRELAKE_ENABLED | true or false | false | ",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// FuzzLoad reads any file: it loads, or is refused with a line, and what loads
// is what its dump gives.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"", "store: x", "sensor:\n  chunk_age: 8m\n  chunk_size: 64MiB\n", "users: [{name: a}, {name: b}]", "labels: {a: b}",
		"a: *b", "a: &a [*a]", "store: |\n  two\n  lines\n", "{[a]: b}", "? a\n: b", "!!binary x: y", "store: !!int x", "rate: 1e400", "<<: {store: x}",
		"labels: {\"a.b\": c}", "labels: {\"<<\": x, \"null\": \"null\", x: \"~\"}", "store: \"Null\"", "labels: {\"a[0]\": c}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, origins, err := load(t, text, config.Source{})
		if err != nil {
			var bad *config.Error
			if !errors.As(err, &bad) || len(bad.Problems) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, p := range bad.Problems {
				if !strings.HasPrefix(string(p.Origin), "wirelake.yaml") {
					t.Errorf("no line is named in %q", p)
				}
			}
			return
		}
		var out bytes.Buffer
		if err := config.Dump(&out, cfg, origins); err != nil {
			t.Fatal(err)
		}
		again, _, err := load(t, out.String(), config.Source{})
		if err != nil {
			t.Fatalf("the dump does not load: %v\n%s", err, &out)
		}
		if fmt.Sprintf("%+v", again.Sensor) != fmt.Sprintf("%+v", cfg.Sensor) || again.common != cfg.common || !reflect.DeepEqual(again.Labels, cfg.Labels) {
			t.Errorf("read back %+v\nfrom %+v\nby\n%s", again, cfg, &out)
		}
	})
}
