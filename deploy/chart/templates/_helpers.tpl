{{- define "golden.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* Labels of everything. Arguments: root, component. */}}
{{- define "golden.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: golden
{{ include "golden.selector" . }}
{{- end }}

{{/* What a pod is known by. Arguments: root, component, build (of old builds only). */}}
{{- define "golden.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
golden.invalid/build: {{ .build | default "current" | quote }}
{{- end }}

{{/* The same of a component's pods of all builds. */}}
{{- define "golden.component" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Arguments: root, tag (of old builds only). */}}
{{- define "golden.image" -}}
{{- $image := .root.Values.image -}}
{{- if .tag -}}
{{- printf "%s:%s" $image.repository .tag -}}
{{- else if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end }}

{{- define "golden.buildId" -}}
{{- .Values.versioning.buildId | default .Values.image.tag | default .Chart.AppVersion -}}
{{- end }}

{{- define "golden.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.podSecurity.runAsUser }}
runAsGroup: {{ .Values.podSecurity.runAsUser }}
fsGroup: {{ .Values.podSecurity.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "golden.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A worker's entry over workerDefaults, which toYaml gives back. Arguments: root, kind. */}}
{{- define "golden.worker" -}}
{{- mergeOverwrite (deepCopy .root.Values.workerDefaults) (index .root.Values.workers .kind) | toYaml -}}
{{- end }}
