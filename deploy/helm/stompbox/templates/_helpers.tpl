{{- define "stompbox.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "stompbox.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "stompbox.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "stompbox.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "stompbox.selector" -}}
app.kubernetes.io/name: {{ include "stompbox.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stompbox.labels" -}}
{{ include "stompbox.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "stompbox.clusterSecret" -}}
{{- .Values.cluster.existingSecret | default (printf "%s-cluster" (include "stompbox.fullname" .)) }}
{{- end }}

{{- define "stompbox.scheme" -}}
{{- $acme := and (dig "acme" "domains" "" .Values.config) (has "http" (splitList "," (include "stompbox.acmeListeners" .))) }}
{{- if or $acme (dig "http" "tls" "cert" "" .Values.config) }}HTTPS{{ else }}HTTP{{ end }}
{{- end }}

{{/* The listeners that show issued certificates; a list may be a text with commas. */}}
{{- define "stompbox.acmeListeners" -}}
{{- $listeners := dig "acme" "listeners" (list "http") .Values.config }}
{{- if kindIs "slice" $listeners }}{{ join "," $listeners }}{{ else }}{{ $listeners | replace " " "" }}{{ end }}
{{- end }}

{{/* The port of a listener: that of config, which wins, or else the chart's. Takes a dict of root, name and port. */}}
{{- define "stompbox.port" -}}
{{- $listen := dig .name "listen" (printf ":%d" (int .port)) .root.Values.config }}
{{- $port := last (splitList ":" (toString $listen)) }}
{{- if not (regexMatch "^[1-9][0-9]*$" $port) }}
{{- fail (printf "config.%s.listen %q has no port, which the Service and the probes need: write it as 0.0.0.0:%d" .name (toString $listen) (int .port)) }}
{{- end }}
{{- $port }}
{{- end }}
{{- define "stompbox.httpPort" -}}{{ include "stompbox.port" (dict "root" . "name" "http" "port" 8080) }}{{- end }}
{{- define "stompbox.metricsPort" -}}{{ include "stompbox.port" (dict "root" . "name" "metrics" "port" .Values.metrics.port) }}{{- end }}
{{- define "stompbox.stompPort" -}}{{ include "stompbox.port" (dict "root" . "name" "stomp" "port" .Values.stomp.port) }}{{- end }}
{{- define "stompbox.routesPort" -}}{{ include "stompbox.port" (dict "root" . "name" "cluster" "port" 6222) }}{{- end }}

{{- define "stompbox.isCluster" -}}
{{- if gt (int .Values.replicaCount) 1 }}yes{{ end }}
{{- end }}

{{/* An external NATS takes the place of routes between nodes. */}}
{{- define "stompbox.hasRoutes" -}}
{{- if and (include "stompbox.isCluster" .) (not (dig "nats" "url" "" .Values.config)) }}yes{{ end }}
{{- end }}

{{- define "stompbox.storeReplicas" -}}
{{- if .Values.storeReplicas }}{{ int .Values.storeReplicas }}
{{- else if and (include "stompbox.hasRoutes" .) (ge (int .Values.replicaCount) 3) }}3
{{- else }}1
{{- end }}
{{- end }}

{{/* Refuses a secret in an entry of a list, which no variable can set. */}}
{{- define "stompbox.secretEntry" -}}
{{- fail (printf "config.%s would stand in a ConfigMap: put it into a Secret, mount that with extraVolumes and extraVolumeMounts, and name the file with secret_file" .) }}
{{- end }}

{{/* stompbox.yaml: what the chart knows, and then config, which wins. */}}
{{- define "stompbox.config" -}}
{{- $config := dict
  "data_dir" "/data"
  "http" (dict "listen" "0.0.0.0:8080")
  "metrics" (dict "listen" (printf "0.0.0.0:%d" (int .Values.metrics.port)) "anonymous" true)
  "log" (dict "format" "json")
  "queues" (dict "replicas" (include "stompbox.storeReplicas" . | int))
  "history" (dict "replicas" (include "stompbox.storeReplicas" . | int))
  "drain" (dict "window" (printf "%ds" (int .Values.drain.windowSeconds)) "timeout" (printf "%ds" (int .Values.drain.timeoutSeconds)))
}}
{{- if .Values.stomp.enabled }}
{{- $_ := set $config "stomp" (dict "listen" (printf "0.0.0.0:%d" (int .Values.stomp.port))) }}
{{- end }}
{{- if include "stompbox.hasRoutes" . }}
{{- $peers := list (printf "%s-nodes.%s.svc:%s" (include "stompbox.fullname" .) .Release.Namespace (include "stompbox.routesPort" .)) }}
{{- $_ := set $config "cluster" (dict "listen" "0.0.0.0:6222" "user" "node" "name" (include "stompbox.fullname" .) "peers" $peers) }}
{{- end }}
{{- $jwt := dict }}
{{- with .Values.auth }}
{{- if .existingSecret }}{{ $_ := set $jwt "secret_file" (printf "/etc/stompbox-auth/%s" .existingSecretKey) }}{{ end }}
{{- if .jwksURL }}{{ $_ := set $jwt "jwks_url" .jwksURL }}{{ end }}
{{- if .issuer }}{{ $_ := set $jwt "issuer" .issuer }}{{ end }}
{{- if .audience }}{{ $_ := set $jwt "audience" .audience }}{{ end }}
{{- end }}
{{- if $jwt }}{{ $_ := set $config "auth" (dict "jwt" $jwt) }}{{ end }}
{{- $config = mergeOverwrite $config (deepCopy .Values.config) }}
{{- if not (or (dig "auth" "jwt" "secret_file" "" $config) (dig "auth" "jwt" "jwks_url" "" $config) (dig "auth" "jwt" "key_file" "" $config) (dig "auth" "jwt" "keys" list $config) (dig "auth" "logins" list $config)) }}
{{- fail "nobody could connect: set auth.existingSecret or auth.jwksURL, or auth in config" }}
{{- end }}
{{- range $path := list "auth.jwt.secret" "cluster.password" "nats.password" "nats.token" "admin.token" "metrics.token" }}
{{- $at := $config }}
{{- range splitList "." $path }}{{ $at = ternary (get (default dict $at) .) "" (kindIs "map" $at) }}{{ end }}
{{- if $at }}
{{- fail (printf "config.%s would stand in a ConfigMap: put it into a Secret, and set it with auth.existingSecret, cluster.existingSecret or extraEnv" $path) }}
{{- end }}
{{- end }}
{{- range $i, $key := dig "auth" "jwt" "keys" list $config }}
{{- if $key.secret }}{{ include "stompbox.secretEntry" (printf "auth.jwt.keys, entry %d.secret" (add1 $i)) }}{{ end }}
{{- end }}
{{- range $i, $hook := dig "app" "webhooks" list $config }}
{{- if $hook.secret }}{{ include "stompbox.secretEntry" (printf "app.webhooks, entry %d.secret" (add1 $i)) }}{{ end }}
{{- if dig "previous" "secret" "" $hook }}{{ include "stompbox.secretEntry" (printf "app.webhooks, entry %d.previous.secret" (add1 $i)) }}{{ end }}
{{- end }}
{{- if and (include "stompbox.hasRoutes" .) (eq (int .Values.replicaCount) 2) }}
{{- fail "replicaCount 2: two nodes have no majority when either is away; use 3, or 1" }}
{{- end }}
{{- toYaml $config }}
{{- end }}
