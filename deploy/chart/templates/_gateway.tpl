{{- define "golden.gatewayProbes" -}}
startupProbe:
  httpGet: {path: /healthz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (ne .Values.secrets.gatewayTls.name "") }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (ne .Values.secrets.gatewayTls.name "") }}}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: http, scheme: {{ ternary "HTTPS" "HTTP" (ne .Values.secrets.gatewayTls.name "") }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{- define "golden.gatewayPorts" -}}
- {name: http, containerPort: {{ .Values.gateway.port }}}
{{- end }}

{{- define "golden.gatewayEnv" -}}
- {name: GOLDEN_GATEWAY_HOST, value: 0.0.0.0}
- {name: GOLDEN_GATEWAY_PORT, value: {{ .Values.gateway.port | quote }}}
- {name: GOLDEN_AUDIT_ANCHOR, value: /var/lib/golden-anchor/audit-anchor.jsonl}
{{- with .Values.gateway.trustedProxies }}
- {name: GOLDEN_TRUSTED_PROXIES, value: {{ . | quote }}}
{{- end }}
{{- if .Values.secrets.gatewayTls.name }}
- {name: GOLDEN_TLS_CERT, value: /run/secrets/golden/tls/tls.crt}
- {name: GOLDEN_TLS_KEY, value: /run/secrets/golden/tls/tls.key}
{{- end }}
{{- end }}

{{- define "golden.gatewayMounts" -}}
- {name: anchor, mountPath: /var/lib/golden-anchor}
{{- if .Values.secrets.gatewayTls.name }}
- {name: tls, mountPath: /run/secrets/golden/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "golden.gatewayVolumes" -}}
- name: signing
  secret:
    secretName: {{ .Values.secrets.keys.name }}
    defaultMode: 0440
- name: anchor
{{- if eq .Values.gateway.anchor.mode "ephemeral" }}
  emptyDir: {}
{{- else }}
  persistentVolumeClaim:
    claimName: {{ ternary .Values.gateway.anchor.claimName (printf "%s-audit-anchor" (include "golden.fullname" .)) (eq .Values.gateway.anchor.mode "existing") }}
{{- end }}
{{- if .Values.secrets.gatewayTls.name }}
- name: tls
  secret:
    secretName: {{ .Values.secrets.gatewayTls.name }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{/*
The folder of a mounted Secret has mode 1777, and a gateway takes no keys from a folder that everybody can write: they
are copied into one of its own. Keys that change need `kubectl rollout restart`.
*/}}
{{- define "golden.gatewayInit" -}}
- name: keys
  image: {{ include "golden.image" (dict "root" .) | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command:
    - sh
    - -euc
    - |
      umask 077
      mkdir -p /var/lib/golden/keys/audit
      cp /run/secrets/golden/signing/signing.pem /var/lib/golden/keys/signing.pem
      cp /run/secrets/golden/signing/audit-signing.pem /var/lib/golden/keys/audit/signing.pem
      for old in /run/secrets/golden/signing/retired-*.pem; do
        [ ! -e "$old" ] || cp "$old" /var/lib/golden/keys/
      done
      for old in /run/secrets/golden/signing/audit-retired-*.pem; do
        [ ! -e "$old" ] || cp "$old" "/var/lib/golden/keys/audit/${old##*/audit-}"
      done
  securityContext:
    {{- include "golden.containerSecurity" . | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: home, mountPath: /var/lib/golden}
    - {name: signing, mountPath: /run/secrets/golden/signing, readOnly: true}
{{- end }}
