package check

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const chartDir = "../helm/stompbox"

// object is one Kubernetes object of the chart.
type object = map[string]any

// render returns the objects of the chart by kind and name, for values in YAML.
func render(t *testing.T, values string) (map[string]object, error) {
	t.Helper()
	c, err := loader.Load(chartDir)
	require.NoError(t, err)
	given, err := chartutil.ReadValues([]byte(values))
	require.NoError(t, err)
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v" + oldestKubernetes, Major: "1", Minor: "30"}
	all, err := chartutil.ToRenderValues(c, given, chartutil.ReleaseOptions{Name: "demo", Namespace: "chat", IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	return objects(t, c, files), nil
}

func objects(t *testing.T, c *chart.Chart, files map[string]string) map[string]object {
	t.Helper()
	all := make(map[string]object)
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
		for {
			var o object
			err := decoder.Decode(&o)
			if err == io.EOF {
				break
			}
			require.NoError(t, err, "%s of %s:\n%s", name, c.Name(), text)
			if len(o) > 0 {
				all[o["kind"].(string)+"/"+o["metadata"].(object)["name"].(string)] = o
			}
		}
	}
	return all
}

// everything turns on all that is off by default.
const everything = `
replicaCount: 5
image: { tag: v1.2.3 }
imagePullSecrets: [{ name: registry }]
auth: { existingSecret: keys, existingSecretKey: hs256, jwksURL: https://login.example/jwks, issuer: https://login.example, audience: [chat] }
config:
  http: { allowed_origins: ["https://chat.example"], tls: { cert: /tls/tls.crt, key: /tls/tls.key } }
  history: { policies: [{ name: chat, match: "/topic/chat.**", max_messages: 100, max_age: 24h }] }
extraEnv: [{ name: STOMPBOX_LOG_LEVEL, value: debug }]
extraVolumes: [{ name: tls, secret: { secretName: tls } }]
extraVolumeMounts: [{ name: tls, mountPath: /tls, readOnly: true }]
persistence: { storageClassName: fast, size: 100Gi }
service: { type: LoadBalancer, port: 443, annotations: { a: b }, sessionAffinity: ClientIP }
stomp: { enabled: true }
ingress: { enabled: true, className: nginx, hosts: [chat.example], tls: [{ hosts: [chat.example], secretName: tls }], annotations: { a: b } }
metrics: { serviceMonitor: { enabled: true, labels: { release: prometheus } } }
networkPolicy: { enabled: true, metricsFrom: [{ namespaceSelector: { matchLabels: { a: b } } }] }
serviceAccount: { annotations: { a: b } }
podAnnotations: { a: b }
podLabels: { a: b }
nodeSelector: { a: b }
tolerations: [{ key: a, operator: Exists }]
priorityClassName: high
`

var valuesThatWork = map[string]string{
	"least":         "auth: { existingSecret: keys }",
	"JWKS":          "auth: { jwksURL: https://login.example/jwks }",
	"one node":      "{ replicaCount: 1, auth: { existingSecret: keys }, persistence: { enabled: false }, drain: { preStopSeconds: 0 } }",
	"external NATS": "{ replicaCount: 2, auth: { existingSecret: keys }, config: { nats: { url: 'nats://nats:4222' }, queues: { replicas: 3 } } }",
	"everything":    everything,
	"the example":   exampleValues(),
}

// exampleValues are those of examples/kubernetes.
func exampleValues() string {
	text, err := os.ReadFile("../../examples/kubernetes/values.yaml")
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestChartLints(t *testing.T) {
	values, err := chartutil.ReadValues([]byte(everything))
	require.NoError(t, err)
	version := &chartutil.KubeVersion{Version: "v" + oldestKubernetes, Major: "1", Minor: "30"}
	result := lint.AllWithKubeVersion(chartDir, values, "chat", version)
	for _, message := range result.Messages {
		require.Less(t, message.Severity, support.WarningSev, "%s: %v", message.Path, message.Err)
	}
}

// TestChartFitsKubernetes checks each object against the schemas of the oldest and the
// newest Kubernetes that the chart is for. Unknown fields are errors.
func TestChartFitsKubernetes(t *testing.T) {
	for _, version := range []string{oldestKubernetes, newestKubernetes} {
		schemas := kubernetesSchemas(t, version)
		for name, values := range valuesThatWork {
			all, err := render(t, values)
			require.NoError(t, err, name)
			for key, o := range all {
				if o["kind"] == "ServiceMonitor" {
					requireServiceMonitor(t, o)
					continue
				}
				require.NoError(t, schemas.validate(o), "%s, %s, Kubernetes %s", name, key, version)
			}
		}
	}
}

func TestSchemasRefuseWhatIsWrong(t *testing.T) {
	schemas := kubernetesSchemas(t, newestKubernetes)
	for field, value := range map[string]any{"replicass": 3, "replicas": "three"} {
		all, err := render(t, valuesThatWork["least"])
		require.NoError(t, err)
		o := all["StatefulSet/demo-stompbox"]
		o["spec"].(object)[field] = value
		require.ErrorContains(t, schemas.validate(o), field)
	}
}

func requireServiceMonitor(t *testing.T, o object) {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(new(monitoring.ServiceMonitor)))
}

// TestStompboxTakesTheConfigurationOfTheChart has the program itself check what the
// chart writes, with the variables of the container.
func TestStompboxTakesTheConfigurationOfTheChart(t *testing.T) {
	for name, values := range valuesThatWork {
		all, err := render(t, values)
		require.NoError(t, err, name)
		text := all["ConfigMap/demo-stompbox"]["data"].(object)["stompbox.yaml"].(string)
		secret := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(secret, []byte("a secret of this test, which is long enough"), 0o600))
		for _, key := range []string{"hs256", "jwt.secret"} {
			text = strings.ReplaceAll(text, "/etc/stompbox-auth/"+key, secret)
		}
		text = strings.ReplaceAll(text, "https://login.example/jwks", "http://127.0.0.1:1/jwks")
		text = strings.ReplaceAll(text, " /tls/", " "+certificate(t)+"/")
		var env []string
		for _, entry := range container(all)["env"].([]any) {
			switch variable := entry.(object); variable["name"] {
			case "STOMPBOX_CLUSTER_NODE":
				env = append(env, "STOMPBOX_CLUSTER_NODE=demo-stompbox-0")
			case "STOMPBOX_CLUSTER_PASSWORD":
				env = append(env, "STOMPBOX_CLUSTER_PASSWORD=a password of this test")
			}
		}
		stompboxAccepts(t, name, text, env)
	}
}

// certificate returns a folder with tls.crt and tls.key, as the secret of a certificate has them.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"chat.example"}, NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: signed}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return dir
}

func container(all map[string]object) object {
	return podSpec(all)["containers"].([]any)[0].(object)
}

func podSpec(all map[string]object) object {
	return all["StatefulSet/demo-stompbox"]["spec"].(object)["template"].(object)["spec"].(object)
}

func TestChartIsSafeByDefault(t *testing.T) {
	all, err := render(t, valuesThatWork["least"])
	require.NoError(t, err)
	spec := podSpec(all)
	require.Equal(t, false, spec["enableServiceLinks"])
	require.Equal(t, false, spec["automountServiceAccountToken"])
	require.Equal(t, true, spec["securityContext"].(object)["runAsNonRoot"])
	require.Equal(t, object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []any{"ALL"}}}, container(all)["securityContext"])
	require.EqualValues(t, 5+15+10+30, spec["terminationGracePeriodSeconds"], "preStop, window, timeout, margin")
	require.Equal(t, "Parallel", all["StatefulSet/demo-stompbox"]["spec"].(object)["podManagementPolicy"], "no node is ready alone")
	require.Equal(t, true, all["Service/demo-stompbox-nodes"]["spec"].(object)["publishNotReadyAddresses"])
	require.EqualValues(t, 1, all["PodDisruptionBudget/demo-stompbox"]["spec"].(object)["maxUnavailable"])
	require.NotEmpty(t, all["Secret/demo-stompbox-cluster"]["data"].(object)["cluster.password"])
	require.NotContains(t, all["ConfigMap/demo-stompbox"]["data"].(object)["stompbox.yaml"], "password")

	all, err = render(t, everything)
	require.NoError(t, err)
	probe := container(all)["livenessProbe"].(object)["httpGet"].(object)
	require.Equal(t, "HTTPS", probe["scheme"], "as config.http.tls says")

	all, err = render(t, valuesThatWork["one node"])
	require.NoError(t, err)
	require.NotContains(t, all, "PodDisruptionBudget/demo-stompbox", "it would block every drain of a machine")
	require.NotContains(t, all, "Secret/demo-stompbox-cluster")
}

// TestProbesFollowTheConfiguration: config wins over the chart, and issued certificates are TLS too.
func TestProbesFollowTheConfiguration(t *testing.T) {
	for values, scheme := range map[string]string{
		"{}":                                    "HTTP",
		"{ acme: { domains: [chat.example] } }": "HTTPS",
		"{ acme: { domains: [chat.example], listeners: [stomp, http] } }":            "HTTPS",
		"{ acme: { domains: chat.example, listeners: 'stomp, http' } }":              "HTTPS",
		"{ acme: { domains: [chat.example], listeners: [stomp] } }":                  "HTTP",
		"{ acme: { domains: [] } }":                                                  "HTTP",
		"{ acme: { listeners: [http] } }":                                            "HTTP",
		"{ acme: { domains: [a], listeners: [stomp] }, http: { tls: { cert: a } } }": "HTTPS",
	} {
		all, err := render(t, "{ auth: { existingSecret: keys }, config: "+values+" }")
		require.NoError(t, err, values)
		for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
			require.Equal(t, scheme, container(all)[probe].(object)["httpGet"].(object)["scheme"], "%s: %s", probe, values)
		}
	}
	ports := func(values string) map[string]any {
		all, err := render(t, values)
		require.NoError(t, err)
		found := make(map[string]any)
		for _, port := range container(all)["ports"].([]any) {
			found[port.(object)["name"].(string)] = port.(object)["containerPort"]
		}
		return found
	}
	require.EqualValues(t, map[string]any{"http": 8080.0, "metrics": 9464.0, "stomp": 61613.0, "routes": 6222.0}, ports("{ auth: { existingSecret: keys }, stomp: { enabled: true } }"))
	moved := "{ auth: { existingSecret: keys }, stomp: { enabled: true }, config: { http: { listen: '0.0.0.0:8443' }, metrics: { listen: ':9000' }, stomp: { listen: '[::]:61614' }, cluster: { listen: '0.0.0.0:7222' } } }"
	require.EqualValues(t, map[string]any{"http": 8443.0, "metrics": 9000.0, "stomp": 61614.0, "routes": 7222.0}, ports(moved))
	all, err := render(t, moved)
	require.NoError(t, err)
	require.Contains(t, all["ConfigMap/demo-stompbox"]["data"].(object)["stompbox.yaml"], "demo-stompbox-nodes.chat.svc:7222")
}

func TestChartNamesMistakes(t *testing.T) {
	for values, says := range map[string]string{
		"{}":                             "nobody could connect",
		"{ auth: { existingSecrt: x } }": "existingSecrt",
		"{ replicaCount: 2, auth: { existingSecret: x } }":                                                               "no majority",
		"{ auth: { existingSecret: x }, config: { cluster: { password: x } } }":                                          "config.cluster.password would stand in a ConfigMap",
		"{ auth: { existingSecret: x }, config: { auth: { jwt: { secret: x } } } }":                                      "config.auth.jwt.secret would stand in a ConfigMap",
		"{ auth: { existingSecret: x }, config: { admin: { token: x } } }":                                               "config.admin.token would stand in a ConfigMap",
		"{ auth: { existingSecret: x }, config: { metrics: { token: x } } }":                                             "config.metrics.token would stand in a ConfigMap",
		"{ auth: { existingSecret: x }, config: { auth: { jwt: { keys: [{ id: a, file: /a }, { secret: x }] } } } }":     "config.auth.jwt.keys, entry 2.secret would stand in a ConfigMap",
		"{ auth: { existingSecret: x }, config: { app: { webhooks: [{ secret: x }] } } }":                                "config.app.webhooks, entry 1.secret would stand in a ConfigMap",
		"{ auth: { existingSecret: x }, config: { app: { webhooks: [{ secret_file: /a, previous: { secret: x } }] } } }": "config.app.webhooks, entry 1.previous.secret would stand in a ConfigMap",
		"{ auth: { existingSecret: x }, config: { http: { listen: '' } } }":                                              "config.http.listen \"\" has no port",
		"{ auth: { existingSecret: x }, metrics: { serviceMonitor: { interval: often } } }":                              "interval",
	} {
		_, err := render(t, values)
		require.ErrorContains(t, err, says, values)
	}
}
