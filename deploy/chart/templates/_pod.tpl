{{/*
The pod of every process. Arguments: root, component, settings (the component's values), args; build and tag of old
builds; probes (YAML); preStop (seconds); ports (YAML), env (YAML), mounts (YAML), volumes (YAML), init (YAML), secrets: which of
tenant, keys, models, docker it gets.
*/}}
{{- define "golden.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
metadata:
  labels:
    {{- include "golden.labels" . | nindent 4 }}
    {{- with .settings.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Pods are made anew where what they are told changes. Secrets that change need `kubectl rollout restart`.
    checksum/config: {{ include "golden.config" $root | sha256sum }}
    {{- with .settings.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "golden.fullname" $root }}-{{ .component }}
  automountServiceAccountToken: false
  # A Service named golden-gateway would set GOLDEN_GATEWAY_PORT, which is a setting.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .settings.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "golden.podSecurity" $root | nindent 4 }}
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .settings.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
  {{- with index $.settings $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- if $values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $values.topologySpread.topologyKeys }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "golden.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- with .init }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "golden.image" . | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ toJson .args }}
      ports:
        - {name: metrics, containerPort: 9464}
        {{- with .ports }}
        {{- . | nindent 8 }}
        {{- end }}
      envFrom:
        - configMapRef: {name: {{ include "golden.fullname" $root }}-env}
      env:
        {{- with .env }}
        {{- . | nindent 8 }}
        {{- end }}
        - {name: GOLDEN_DATABASE_URL_FILE, value: /run/secrets/golden/database/service}
        - {name: GOLDEN_DATABASE_TENANT_URL_FILE, value: /run/secrets/golden/database/tenant}
        - {name: GOLDEN_KEYS_FILE, value: /run/secrets/golden/ring/ring.json}
        {{- if has "models" .secrets }}
        - {name: GOLDEN_MODELS, value: /run/secrets/golden/models/models.yaml}
        {{- end }}
        {{- include "golden.temporalEnv" $root | nindent 8 }}
        {{- with $values.settings.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- range $name, $value := .settings.env }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      securityContext:
        {{- include "golden.containerSecurity" $root | nindent 8 }}
      resources:
        {{- toYaml .settings.resources | nindent 8 }}
      {{- .probes | nindent 6 }}
      {{- with .preStop }}
      lifecycle:
        preStop:
          exec: {command: [sleep, {{ . | quote }}]}
      {{- end }}
      volumeMounts:
        - {name: home, mountPath: /var/lib/golden}
        - {name: tmp, mountPath: /tmp}
        - {name: database, mountPath: /run/secrets/golden/database, readOnly: true}
        - {name: ring, mountPath: /run/secrets/golden/ring, readOnly: true}
        {{- if has "models" .secrets }}
        - {name: models, mountPath: /run/secrets/golden/models, readOnly: true}
        {{- end }}
        {{- if $values.secrets.temporal.name }}
        - {name: temporal, mountPath: /run/secrets/golden/temporal, readOnly: true}
        {{- end }}
        {{- with .mounts }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    - name: home
      emptyDir: {sizeLimit: 256Mi}
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    - name: database
      secret:
        secretName: {{ $values.secrets.database.name }}
        defaultMode: 0440
        items:
          - {key: {{ $values.secrets.database.keys.service }}, path: service}
          - {key: {{ $values.secrets.database.keys.tenant }}, path: tenant}
    - name: ring
      secret:
        secretName: {{ $values.secrets.keys.name }}
        defaultMode: 0440
        items:
          - {key: ring.json, path: ring.json}
    {{- if has "models" .secrets }}
    - name: models
      secret:
        secretName: {{ $values.secrets.models.name }}
        defaultMode: 0440
        items:
          - {key: {{ $values.secrets.models.key }}, path: models.yaml}
    {{- end }}
    {{- if $values.secrets.temporal.name }}
    - name: temporal
      secret:
        secretName: {{ $values.secrets.temporal.name }}
        defaultMode: 0440
    {{- end }}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "golden.temporalEnv" -}}
{{- with .Values.secrets.temporal }}
{{- if .apiKey }}
- {name: TEMPORAL_API_KEY_FILE, value: /run/secrets/golden/temporal/api-key}
{{- end }}
{{- if .tls }}
- {name: TEMPORAL_TLS_CLIENT_CERT_PATH, value: /run/secrets/golden/temporal/tls.crt}
- {name: TEMPORAL_TLS_CLIENT_KEY_PATH, value: /run/secrets/golden/temporal/tls.key}
{{- end }}
{{- if .ca }}
- {name: TEMPORAL_TLS_SERVER_CA_CERT_PATH, value: /run/secrets/golden/temporal/ca.crt}
{{- end }}
{{- end }}
{{- end }}

{{/* Probes of a process whose only port is that of its metrics, which it opens before anything else. */}}
{{- define "golden.metricsProbes" -}}
startupProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}
