package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// alert is one alert of deploy/prometheus.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/prometheus/stompbox.rules.yaml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// dashboardQueries are the queries of deploy/grafana.
func dashboardQueries(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/stompbox.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	require.NotEmpty(t, all)
	return append(all, regexp.MustCompile(`label_values\([^"]*\)`).FindString(string(text)))
}

var (
	ownMetric = regexp.MustCompile(`\b(?:stompbox|process)_[a-z_]+`)
	byLabels  = regexp.MustCompile(`by \(([a-z, ]+)\)`)
)

// TestTheDashboardAndTheAlertsNameMetricsOfARunningNode, and labels that these have.
func TestTheDashboardAndTheAlertsNameMetricsOfARunningNode(t *testing.T) {
	t.Parallel()
	p, url := busyNode(t)
	families := scrape(t, url)
	queries := dashboardQueries(t)
	for _, a := range alerts(t) {
		queries = append(queries, a.Expr)
	}
	for _, query := range queries {
		var labels []string
		for _, name := range ownMetric.FindAllString(query, -1) {
			if families[name] == nil {
				name = regexp.MustCompile("_(bucket|sum|count)$").ReplaceAllString(name, "")
				require.NotNil(t, families[name], "%s: there is no such metric", query)
				require.Equal(t, dto.MetricType_HISTOGRAM, families[name].GetType(), query)
			}
			for _, l := range families[name].GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
		}
		if m := byLabels.FindStringSubmatch(query); m != nil {
			for _, label := range strings.Split(m[1], ", ") {
				require.True(t, label == "le" || label == "instance" || slices.Contains(labels, label), "%s: no label %s", query, label)
			}
		}
	}
	p.stop(t)
}

// TestEachAlertHasARunbook in docs/operations.md, which its annotation names.
func TestEachAlertHasARunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	const page = "https://github.com/stompbox/stompbox/blob/main/docs/operations.md#"
	for _, a := range alerts(t) {
		require.Equal(t, page+strings.ToLower(a.Alert), a.Annotations["runbook"], a.Alert)
		require.NotEmpty(t, a.Annotations["summary"], a.Alert)
		require.Contains(t, []string{"critical", "warning", "info"}, a.Labels["severity"], a.Alert)
		_, runbook, found := strings.Cut(string(text), "\n### "+a.Alert+"\n\n")
		require.True(t, found, "%s has no runbook", a.Alert)
		runbook, _, _ = strings.Cut(runbook, "\n#")
		require.Greater(t, len(runbook), 80, a.Alert)
	}
}

// promtool returns the tool of Prometheus, or skips the test where there is none, but not
// where TEST_NEEDS_PROMTOOL says that there has to be one.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("TEST_NEEDS_PROMTOOL") != "" {
			t.Fatal(err)
		}
		t.Skip("promtool of Prometheus is not installed")
	}
	return path
}

// TestPromtoolAcceptsAlertsQueriesAndMetrics: the rules and their tests, the queries of the
// dashboard, the configuration that the documents show, and what a node shows.
func TestPromtoolAcceptsAlertsQueriesAndMetrics(t *testing.T) {
	t.Parallel()
	tool, dir := promtool(t), t.TempDir()
	check := func(stdin string, args ...string) {
		t.Helper()
		cmd := exec.Command(tool, args...)
		cmd.Stdin = strings.NewReader(stdin)
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", args, said)
	}
	const rules, rulesTest = "../../deploy/prometheus/stompbox.rules.yaml", "../../deploy/prometheus/stompbox.rules.test.yaml"
	check("", "check", "rules", rules)
	check("", "test", "rules", rulesTest)

	inGrafana := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")
	recorded := "groups:\n- name: dashboard\n  rules:\n"
	for i, query := range dashboardQueries(t) {
		if !strings.HasPrefix(query, "label_values") {
			recorded += fmt.Sprintf("  - record: dashboard:%d\n    expr: %q\n", i, inGrafana.Replace(query))
		}
	}
	file := filepath.Join(dir, "dashboard.yaml")
	require.NoError(t, os.WriteFile(file, []byte(recorded), 0o600))
	check("", "check", "rules", file)

	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, config, ok := strings.Cut(string(text), "sudo tee /etc/prometheus/prometheus.yml >/dev/null <<'END'\n")
	require.True(t, ok)
	config, _, _ = strings.Cut(config, "END\n")
	require.Contains(t, config, "scrape_configs:")
	file = filepath.Join(dir, "prometheus.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	check("", "check", "config", "--syntax-only", file)

	p, url := busyNode(t)
	_, shown := get(t, url)
	check(shown, "check", "metrics")
	p.stop(t)
}
