{{/* Settings of a component: those of all, its own over them. dict root, values. */}}
{{- define "audit-stream.merged" -}}
{{- mergeOverwrite (deepCopy .root.Values.settings) (deepCopy (default dict .values.settings)) | toYaml -}}
{{- end -}}

{{/* Files of a component, likewise: setting → secret or configMap, and key. */}}
{{- define "audit-stream.files" -}}
{{- mergeOverwrite (deepCopy .root.Values.files) (deepCopy (default dict .values.files)) | toYaml -}}
{{- end -}}

{{/* A number as Python reads it: 134217728 and not 1.34217728e+08. */}}
{{- define "audit-stream.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* How long a pod may take to end: what the process gives itself (AUDIT_SHUTDOWN_SECONDS) and time to say why. */}}
{{- define "audit-stream.grace" -}}
{{- $found := include "audit-stream.merged" . | fromYaml -}}
{{- add 20 (ceil (default 25 $found.shutdown_seconds) | int64) -}}
{{- end -}}

{{/* The environment of one process: dict root, component, process. */}}
{{- define "audit-stream.environment" -}}
{{- range $name, $value := include "audit-stream.merged" (dict "root" .root "values" .component.values) | fromYaml }}
- name: AUDIT_{{ upper $name }}
  value: {{ include "audit-stream.text" $value | quote }}
{{- end }}
{{- range $name, $file := include "audit-stream.files" (dict "root" .root "values" .component.values) | fromYaml }}
- name: AUDIT_{{ upper $name }}
  value: /etc/audit-stream/{{ $name | replace "_" "-" }}/{{ $file.key }}
{{- end }}
- name: AUDIT_WEB_HOST
  value: 0.0.0.0
- name: AUDIT_WEB_PORT
  value: {{ .process.port | int64 | quote }}
{{- include "audit-stream.own" . }}
{{- with .component.values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What a component's place in the cluster says: its name, its folders. */}}
{{- define "audit-stream.own" -}}
{{- $name := .component.name }}
{{- if .component.view }}
- name: AUDIT_KEYRING
  value: /var/lib/audit-stream/keys/{{ if eq .component.view "whole" }}whole/{{ end }}keyring.json
{{- end }}
{{- if eq $name "worker" }}
- name: AUDIT_INSTANCE_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- if or (eq $name "worker") (hasPrefix "deliverer-" $name) }}
- name: AUDIT_STATE_DIR
  value: /var/lib/audit-stream/state
{{- end }}
{{- if eq $name "gateway" }}
- name: AUDIT_GATEWAY_HOST
  value: 0.0.0.0
- name: AUDIT_GATEWAY_PORT
  value: "8443"
{{- if not (hasKey (default dict .component.values.files) "gateway_tokens") }}
- name: AUDIT_GATEWAY_TOKENS
  value: /var/lib/audit-stream/gateway/tokens.json
{{- end }}
- name: AUDIT_ANSWER_KEYS
  value: /var/lib/audit-stream/gateway/answer-keys
- name: AUDIT_JOURNAL_DIR
  value: /var/lib/audit-stream/gateway/journal
- name: AUDIT_INDEX_DIR
  value: /var/lib/audit-stream/state/index
{{- end }}
{{- with .component.receiver }}
- name: AUDIT_DELIVERY_NAME
  value: {{ .name }}
- name: AUDIT_DELIVERY_URL
  value: {{ .url | quote }}
{{- end }}
{{- if or (eq $name "keeper") (eq $name "disposal") }}
{{- with .root.Values.keyring.views }}
- name: AUDIT_KEYRING_VIEWS
  value: {{ range $i, $view := . }}{{ if $i }},{{ end }}/var/lib/audit-stream/keys/{{ $view }}/keyring.json{{ end }}
{{- end }}
{{- end }}
{{- end -}}
