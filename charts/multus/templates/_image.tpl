{{- define "multus.image" }}
{{- .Values.image.repository }}:
{{- if .Values.image.tag }}{{ .Values.image.tag }}
{{- else }}{{ .Chart.AppVersion }}
{{- if (.Values.config.perNodeCertificate).enabled }}-certificates{{ end }}
{{- end }}
{{- end }}
