{{- define "algorithm-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "algorithm-operator.fullname" -}}
{{- $name := include "algorithm-operator.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "algorithm-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "algorithm-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "algorithm-operator.labels" -}}
{{ include "algorithm-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "algorithm-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "algorithm-operator.fullname" .) -}}
{{- end -}}

{{- define "algorithm-operator.canary" -}}
{{ include "algorithm-operator.fullname" . }}-canary
{{- end -}}

{{/* The reference of one of our images; takes {root, image}. */}}
{{- define "algorithm-operator.image" -}}
{{- $image := .image -}}
{{- with .root.Values.global.imageRegistry | default $image.registry }}{{ . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* A mistake that would otherwise show only as jobs that never start. */}}
{{- define "algorithm-operator.checks" -}}
{{- if .Values.watchNamespaces -}}
{{- range .Values.jobNamespaces -}}
{{- if not (has .name $.Values.watchNamespaces) -}}
{{- fail (printf "jobNamespaces names %q, which is not in watchNamespaces: the operator would not see its jobs. Add it to watchNamespaces, or leave watchNamespaces empty." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
