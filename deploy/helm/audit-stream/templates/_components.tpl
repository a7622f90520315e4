{{/*
What a release is made of, as a list: each has

  name        as in its objects' names and in app.kubernetes.io/component
  job         the Prometheus job that the alert rules know it by; none: nothing to scrape
  identity    whose service account it has
  view        whose view of the keyring: worker, notary, gateway, whole, or none
  processes   a container each: name, args, port of /metrics, /healthz, /readyz
  egress      what its network policy lets it reach
  receiver    of what speaks to one: its name and url
  values      its part of the values

`include … | fromYamlArray` gives it to a template.
*/}}
{{- define "audit-stream.components" -}}
{{- $found := list -}}
{{- /* Kafka is for everybody: alarms go to audit-ops-events. */ -}}
{{- $stores := list "kafka" "https" -}}
{{- $found = append $found (dict "name" "worker" "job" "audit-stream" "identity" "worker" "view" "worker"
      "processes" (list (dict "name" "worker" "args" (list "worker") "port" 9464))
      "egress" $stores "values" .Values.worker) -}}
{{- if .Values.notary.enabled -}}
{{- $found = append $found (dict "name" "notary" "job" "audit-stream-notary" "identity" "worker" "view" "notary"
      "processes" (list (dict "name" "notary" "args" (list "notary") "port" 9464))
      "egress" (append $stores "anchors") "values" .Values.notary) -}}
{{- end -}}
{{- if .Values.gateway.enabled -}}
{{- $found = append $found (dict "name" "gateway" "job" "audit-stream-gateway" "identity" "gateway" "view" "gateway"
      "processes" (list (dict "name" "gateway" "args" (list "gateway") "port" 9464))
      "egress" $stores "values" .Values.gateway) -}}
{{- end -}}
{{- range .Values.deliverers -}}
{{- $personal := hasKey (include "audit-stream.merged" (dict "root" $ "values" .) | fromYaml) "delivery_fields" -}}
{{- if not (or $personal (hasKey .files "delivery_public_keys")) -}}
{{- fail (printf "deliverers: %s needs files.delivery_public_keys, or settings.delivery_fields and with it a gateway's view of the keyring" .name) -}}
{{- end -}}
{{- $found = append $found (dict "name" (printf "deliverer-%s" .name) "job" "audit-stream-deliverer" "identity" "deliverer"
      "view" (ternary "gateway" "" $personal)
      "processes" (list (dict "name" "deliverer" "args" (list "deliver" "siem") "port" 9464))
      "egress" (append $stores "delivery") "receiver" (pick . "name" "url")
      "values" (merge (deepCopy .) (dict "resources" $.Values.delivererResources))) -}}
{{- end -}}
{{- with .Values.mirror -}}
{{- if .enabled -}}
{{- $found = append $found (dict "name" "mirror" "job" "audit-stream-mirror" "identity" "mirror" "view" "gateway"
      "processes" (list (dict "name" "mirror" "args" (list "archive" "mirror" "--every" (toString .everySeconds)) "port" 9464))
      "egress" $stores "values" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.keeper -}}
{{- if .enabled -}}
{{- $processes := list
      (dict "name" "erasures" "args" (list "redact" "run" "--every" (toString .erasuresEverySeconds)) "port" 9464) -}}
{{- $keeper := dict "name" "keeper" "job" "audit-stream-keeper" "identity" "keeper" "view" "whole"
      "processes" $processes "egress" $stores "values" . -}}
{{- range $.Values.deliverers -}}
{{- if eq .name $.Values.keeper.receiver -}}
{{- $own := deepCopy $.Values.keeper -}}
{{- $_ := set $own "settings" (mergeOverwrite (deepCopy (default dict .settings)) $own.settings) -}}
{{- $_ := set $own "files" (mergeOverwrite (deepCopy (default dict .files)) $own.files) -}}
{{- $_ := mergeOverwrite $keeper (dict "receiver" (pick . "name" "url") "egress" (append $stores "delivery") "values" $own) -}}
{{- end -}}
{{- end -}}
{{- if and .receiver (not $keeper.receiver) -}}
{{- fail (printf "keeper.receiver: %s is none of deliverers" .receiver) -}}
{{- end -}}
{{- $found = append $found $keeper -}}
{{- end -}}
{{- end -}}
{{- with .Values.holder -}}
{{- if $.Values.keeper.enabled -}}
{{- $found = append $found (dict "name" "holder" "job" "audit-stream-keeper" "identity" "holder" "view" "whole"
      "processes" (list (dict "name" "holds" "args" (list "hold" "run" "--every" (toString .everySeconds)) "port" 9464))
      "egress" $stores "values" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.disposal -}}
{{- if .enabled -}}
{{- $found = append $found (dict "name" "disposal" "identity" "disposal" "view" "whole"
      "processes" (list (dict "name" "disposal" "args" (list "retention" "run") "port" 9464))
      "egress" $stores "values" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.topics -}}
{{- if .apply -}}
{{- $found = append $found (dict "name" "topics" "view" ""
      "processes" (list (dict "name" "topics" "args" (list "topics" "apply") "port" 9464))
      "egress" (list "kafka") "values" .) -}}
{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* One of them by name: dict root, name. */}}
{{- define "audit-stream.component" -}}
{{- range include "audit-stream.components" .root | fromYamlArray -}}
{{- if eq .name $.name }}{{ toYaml . }}{{ end -}}
{{- end -}}
{{- end -}}
