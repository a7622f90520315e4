{{/*
A pod template of a component: dict root, component; restart, if not Always.

Nothing in it is root or can become it, its root is read-only, and Kubernetes gives it no token: workload identity
projects its own. Links to services are off, or one named audit-gateway would set AUDIT_GATEWAY_PORT to an address.
The files of fsGroup are changed only where the volume is not ours yet: done at each start, it would open keys that
their program made for their owner alone, and refuses then.
*/}}
{{- define "audit-stream.pod" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $values := $component.values -}}
metadata:
  labels: # none that a new version of the chart alone changes: it would restart everything
    {{- include "audit-stream.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $component.name }}
    {{- with $component.identity }}
    {{- with (get $root.Values.serviceAccounts .).podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $component.identity }}
  serviceAccountName: {{ include "audit-stream.account" (dict "root" $root "identity" .) }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .restart }}
  restartPolicy: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "audit-stream.grace" (dict "root" $root "values" $values) }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with default $root.Values.priorityClassName $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with default $root.Values.nodeSelector $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with default $root.Values.tolerations $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $root.Values.spread }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "audit-stream.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $component.name }}
    {{- end }}
  {{- end }}
  containers:
    {{- range $component.processes }}
    {{- include "audit-stream.container" (dict "root" $root "component" $component "process" .) | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "audit-stream.volumes" . | nindent 4 }}
{{- end -}}

{{- define "audit-stream.container" -}}
- name: {{ .process.name }}
  image: {{ include "audit-stream.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: {{ toJson .process.args }}
  env:
    {{- include "audit-stream.environment" . | trim | nindent 4 }}
  {{- if .component.job }}
  ports:
    - name: {{ include "audit-stream.port" .process }}
      containerPort: {{ .process.port | int64 }}
    {{- if eq .component.name "gateway" }}
    - name: api
      containerPort: 8443
    {{- end }}
  {{- include "audit-stream.probes" .process | nindent 2 }}
  {{- end }}
  {{- if eq .component.name "gateway" }}
  lifecycle:
    preStop: # until nobody sends it new requests
      exec:
        command: [sleep, "5"]
  {{- end }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
  {{- with .component.values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- include "audit-stream.mounts" . | nindent 4 }}
{{- end -}}

{{/* Names of ports: of a pod with two processes the second's is its own. */}}
{{- define "audit-stream.port" -}}
{{- if eq (int .port) 9464 }}web{{ else }}web-{{ .name }}{{ end -}}
{{- end -}}

{{/*
/healthz is about the process alone, and answers from its beginning: what restores, or waits for a store or a broker, is
not killed for it. An event loop that stands is ended by the process itself (AUDIT_STALL_SECONDS), with last words; the
probe is there for one that cannot.
*/}}
{{- define "audit-stream.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: {{ include "audit-stream.port" . }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
livenessProbe:
  httpGet: {path: /healthz, port: {{ include "audit-stream.port" . }}}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 8
readinessProbe:
  httpGet: {path: /readyz, port: {{ include "audit-stream.port" . }}}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}
