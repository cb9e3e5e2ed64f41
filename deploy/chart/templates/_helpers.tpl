{{- define "kiteway.name" -}}
{{- if contains "kiteway" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-kiteway" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What is outside the release's namespace; for some namespaces only there may be a release of the same name in others. */}}
{{- define "kiteway.outsideName" -}}
{{ if .Values.controller.namespaces }}{{ .Release.Namespace }}-{{ end }}{{ include "kiteway.name" . }}
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

{{- define "kiteway.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Whether a CA may be asked; empty when not. */}}
{{- define "kiteway.acme" -}}
{{- if and .Values.acme.acceptTerms (not .Values.acme.contact) }}
{{- fail "acme.acceptTerms is true, but acme.contact is empty: a CA's account needs an e-mail address. Set acme.contact." }}
{{- end }}
{{- if .Values.acme.acceptTerms }}true{{ end }}
{{- end }}
