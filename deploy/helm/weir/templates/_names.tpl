{{- define "weir.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "weir.tokenSecret" -}}
{{- default (printf "%s-root-token" (include "weir.name" .)) .Values.rootToken.existingSecret -}}
{{- end -}}

{{- define "weir.scheme" -}}
{{- if .Values.tls.existingSecret -}}https{{- else -}}http{{- end -}}
{{- end -}}

{{- define "weir.clusterSecret" -}}
{{- default (printf "%s-cluster" (include "weir.name" .)) .Values.clusterSecret.existingSecret -}}
{{- end -}}

{{/* Whether there is a cluster. */}}
{{- define "weir.cluster" -}}
{{- if not (has (int .Values.replicas) (list 1 3)) -}}
{{- fail (printf "replicas is %v: it may be 1 or 3" .Values.replicas) -}}
{{- end -}}
{{- if eq (int .Values.replicas) 3 -}}true{{- end -}}
{{- end -}}

{{/* The addresses of all nodes for each other. */}}
{{- define "weir.peers" -}}
{{- $all := list -}}
{{- range $i := until (int .Values.replicas) -}}
{{- $all = append $all (printf "%s-%d.%s-pods.%s.svc:6222" (include "weir.name" $) $i (include "weir.name" $) $.Release.Namespace) -}}
{{- end -}}
{{- join "," $all -}}
{{- end -}}
