{{/* What a pod mounts, and where: dict root, component; mounts of one container, volumes of the pod. */}}
{{- define "audit-stream.mounts" -}}
{{- $name := .component.name -}}
- name: tmp
  mountPath: /tmp
{{- range $file, $_ := include "audit-stream.files" (dict "root" .root "values" .component.values) | fromYaml }}
- name: {{ include "audit-stream.volume" $file }}
  mountPath: /etc/audit-stream/{{ $file | replace "_" "-" }}
  readOnly: true
{{- end }}
{{- with .component.view }}
- name: keys
  mountPath: /var/lib/audit-stream/keys
  {{- if ne . "whole" }}
  readOnly: true
  {{- if not (get $.root.Values.keyring .).existingSecret }}
  subPath: {{ . }}
  {{- end }}
  {{- end }}
{{- end }}
{{- if include "audit-stream.state" . }}
- name: state
  mountPath: /var/lib/audit-stream/state
{{- end }}
{{- if eq $name "gateway" }}
- name: gateway
  mountPath: /var/lib/audit-stream/gateway
{{- end }}
{{- with .root.Values.archiveClaim }}
- name: archive
  mountPath: /var/lib/audit-stream/archive
{{- end }}
{{- end -}}

{{- define "audit-stream.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
{{- range $name, $file := include "audit-stream.files" (dict "root" .root "values" .component.values) | fromYaml }}
- name: {{ include "audit-stream.volume" $name }}
  {{- if $file.secret }}
  secret:
    secretName: {{ $file.secret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ $file.configMap }}
  {{- end }}
    items:
      - key: {{ $file.key }}
        path: {{ $file.key }}
{{- end }}
{{- if .component.view }}
{{ include "audit-stream.keys" . }}
{{- end }}
{{- with include "audit-stream.state" . | fromYaml }}
{{- if not .persistent }}
- name: state # a cache: what is lost is rebuilt
  emptyDir:
    sizeLimit: {{ .size }}
{{- end }}
{{- end }}
{{- with .root.Values.archiveClaim }}
- name: archive
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end }}
{{- end -}}

{{/* Names of volumes have 63 characters; the longest setting with a file has 44. */}}
{{- define "audit-stream.volume" -}}
file-{{ . | replace "_" "-" }}
{{- end -}}

{{/* A role's view of the keyring: a Secret of its own, or its folder on the shared volume. */}}
{{- define "audit-stream.keys" -}}
{{- $keyring := .root.Values.keyring -}}
{{- $secret := ternary "" (get (default dict (get $keyring .component.view)) "existingSecret") (eq .component.view "whole") -}}
- name: keys
{{- if $secret }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
{{- else }}
  persistentVolumeClaim:
    claimName: {{ required (printf "keyring: %s needs a view; give keyring.%s.existingSecret or keyring.existingClaim" .component.name .component.view) $keyring.existingClaim }}
{{- end }}
{{- end -}}

{{/* The state folder of a component that has one; empty of one that has none. */}}
{{- define "audit-stream.state" -}}
{{- $name := .component.name -}}
{{- if or (eq $name "worker") (eq $name "gateway") }}
{{- toYaml .component.values.state -}}
{{- else if and (hasPrefix "deliverer-" $name) (not (hasKey (include "audit-stream.merged" (dict "root" .root "values" .component.values) | fromYaml) "delivery_positions")) }}
{{- toYaml (mergeOverwrite (dict "persistent" true "size" "1Gi") (default dict .component.values.state)) -}}
{{- end -}}
{{- end -}}

{{/* A volume of each pod's own: dict name, size, storageClass. */}}
{{- define "audit-stream.claim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: {{ .name }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .size }}
{{- end -}}
