{{/* Arguments: root, component, settings; build, tag, replicas of an old build. */}}
{{- define "golden.workerDeployment" }}
{{- $scaled := and (not .build) (ne .root.Values.autoscaling.mode "none") }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "golden.fullname" .root }}-{{ .component }}{{ with .build }}-{{ lower . | replace "." "-" | replace "_" "-" | trunc 20 | trimSuffix "-" }}{{ end }}
  labels:
    {{- include "golden.labels" . | nindent 4 }}
spec:
  {{- if not $scaled }}
  replicas: {{ .replicas | default .settings.replicas }}
  {{- end }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "golden.selector" . | nindent 6 }}
  template:
    {{- $secrets := ternary (list) (list "models") (eq .component "sandbox") }}
    {{- $more := dict
      "args" (list "worker" .component)
      "secrets" $secrets
      "probes" (include "golden.metricsProbes" .root)
      "env" (include "golden.workerEnv" .)
    }}
    {{- if and (eq .component "sandbox") .root.Values.sandbox.tls }}
    {{- $_ := set $more "mounts" "- {name: docker, mountPath: /run/secrets/golden/docker, readOnly: true}" }}
    {{- $_ := set $more "volumes" (printf "- name: docker\n  secret:\n    secretName: %s\n    defaultMode: 0440" .root.Values.secrets.docker.name) }}
    {{- end }}
    {{- include "golden.pod" (merge $more .) | nindent 4 }}
{{- end }}

{{- define "golden.workerEnv" -}}
{{- $values := .root.Values -}}
{{- if eq .component "sandbox" }}
- {name: DOCKER_HOST, value: {{ $values.sandbox.dockerHost | quote }}}
{{- if $values.sandbox.tls }}
- {name: DOCKER_TLS_VERIFY, value: "1"}
- {name: DOCKER_CERT_PATH, value: /run/secrets/golden/docker}
{{- end }}
- {name: GOLDEN_SANDBOX_ISOLATION, value: {{ $values.sandbox.isolation }}}
- {name: GOLDEN_SANDBOX_RUNTIME, value: {{ $values.sandbox.runtime }}}
- {name: GOLDEN_SANDBOX_IMAGES, value: {{ $values.sandbox.images | quote }}}
- {name: GOLDEN_SANDBOX_POOL, value: {{ $values.sandbox.pool | quote }}}
{{- end }}
{{- if $values.versioning.enabled }}
- {name: GOLDEN_BUILD_ID, value: {{ .build | default (include "golden.buildId" .root) | quote }}}
{{- end }}
{{- end }}
