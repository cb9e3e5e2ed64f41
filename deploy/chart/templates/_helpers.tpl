{{- define "kiteway.name" -}}
{{- if contains "kiteway" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-kiteway" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "kiteway.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "kiteway.name" .) }}
{{- end }}

{{- define "kiteway.selector" -}}
app.kubernetes.io/name: kiteway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kiteway.labels" -}}
{{ include "kiteway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "kiteway.lease" -}}
{{ ternary "kiteway" (printf "kiteway-%s" .Values.controller.ingressClass) (eq .Values.controller.ingressClass "kiteway") }}
{{- end }}

{{/* Whether a CA may be asked; empty when not. */}}
{{- define "kiteway.acme" -}}
{{ if and .Values.acme.acceptTerms .Values.acme.contact }}true{{ end }}
{{- end }}

{{/* The ports in the container: above 1023 unless the node's own are used, so that no capability is needed. */}}
{{- define "kiteway.httpsPort" -}}{{ ternary 443 8443 .Values.hostNetwork }}{{- end }}
{{- define "kiteway.httpPort" -}}{{ ternary 80 8080 .Values.hostNetwork }}{{- end }}
