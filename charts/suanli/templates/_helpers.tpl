{{- define "suanli.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "suanli.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "suanli.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "suanli.fullname" .) -}}
{{- end -}}

{{- define "suanli.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-ledger" (include "suanli.fullname" .)) -}}
{{- end -}}

{{- define "suanli.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "suanli.selectorLabels" -}}
app.kubernetes.io/name: {{ include "suanli.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "suanli.labels" -}}
{{ include "suanli.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A setting of values.yaml (fullCompareS: 300) as the operator reads it; whole numbers never as 3e+02. */}}
{{- define "suanli.setting" -}}
- name: SUANLI_{{ .name | snakecase | upper }}
  value: {{ (kindIs "string" .value) | ternary .value (int64 .value | toString) | quote }}
{{- end -}}
