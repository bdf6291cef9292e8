"""The HTML mail: one column, plain tables and inline styles, in light colours.

Mail programs know neither style sheets nor flex boxes reliably, so every cell carries its style.
"""

from __future__ import annotations

EMAIL = """
{{ define "email.default.subject" }}{{ template "__subject" . }}{{ end }}

{{ define "__mail_count" }}{{ len . }} alert{{ if ne 1 (len .) }}s{{ end }}{{ end }}

{{ define "__mail_labels" -}}
{{ range .SortedPairs -}}
<tr>
  <td style="padding: 2px 12px 2px 0; color: #64748b; white-space: nowrap; vertical-align: top">
    {{- .Name -}}
  </td>
  <td style="padding: 2px 0; color: #0f172a; word-break: break-word">{{ .Value }}</td>
</tr>
{{ end -}}
{{ end }}

{{ define "__mail_alert" -}}
{{ $at := .StartsAt }}{{ if eq .Status "resolved" }}{{ $at = .EndsAt }}{{ end -}}
<tr><td style="padding: 16px 24px; border-top: 1px solid #e2e8f0">
  <p style="margin: 0 0 8px; font-size: 15px; font-weight: 600; color: #0f172a">
    {{- with .Labels.alertname }}{{ . }}{{ else }}Alert{{ end -}}
    <span style="font-weight: 400; color: #64748b"> &middot; {{ .Status }} since {{ "" -}}
    {{ $at.UTC.Format "2 Jan 2006 15:04:05 MST" }}</span></p>
  {{- range .Annotations.SortedPairs }}
  <p style="margin: 0 0 6px; font-size: 14px; color: #334155"><b>{{ .Name }}:</b> {{ .Value }}</p>
  {{- end }}
  <table role="presentation" cellpadding="0" cellspacing="0" style="font-size: 13px">
  {{ template "__mail_labels" .Labels -}}
  </table>
  {{- with .GeneratorURL }}
  <p style="margin: 8px 0 0; font-size: 13px">
    <a href="{{ . }}" style="color: #2563eb">Source</a></p>
  {{- end }}
</td></tr>
{{ end }}

{{ define "__mail_section" -}}
{{ if .alerts -}}
<tr><td style="padding: 14px 24px; background: #f8fafc; border-top: 1px solid #e2e8f0;
  font-size: 13px; font-weight: 600; color: {{ .colour }}">
  {{- len .alerts }} {{ .title -}}
</td></tr>
{{ range .alerts }}{{ template "__mail_alert" . }}{{ end -}}
{{ end -}}
{{ end }}

{{ define "email.default.html" -}}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<title>{{ template "__subject" . }}</title>
</head>
<body style="margin: 0; padding: 0; background: #f1f5f9;
  font-family: -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; line-height: 1.5">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0">
<tr><td align="center" style="padding: 24px 12px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"
  style="max-width: 640px; background: #ffffff; border: 1px solid #e2e8f0; border-radius: 8px;
  overflow: hidden; text-align: left">
<tr><td style="padding: 20px 24px; color: #ffffff; font-size: 18px; font-weight: 600;
  background: {{ if eq .Status "firing" }}#b91c1c{{ else }}#15803d{{ end }}">
  {{- with .Alerts.Firing }}{{ template "__mail_count" . }} firing
    {{- with $.Alerts.Resolved }}, {{ len . }} resolved{{ end }}
  {{- else }}{{ template "__mail_count" .Alerts }} resolved{{ end }}
  {{- with .GroupLabels.SortedPairs }}
  <div style="margin-top: 4px; font-size: 13px; font-weight: 400">
    {{- range $at, $pair := . }}{{ if $at }} &middot; {{ end }}{{ .Name }}={{ .Value }}{{ end -}}
  </div>
  {{- end }}
</td></tr>
<tr><td style="padding: 20px 24px">
  <a href="{{ template "__alertmanagerURL" . }}" style="display: inline-block; padding: 10px 18px;
  border-radius: 6px; background: #1e293b; color: #ffffff; font-size: 14px; font-weight: 600;
  text-decoration: none">View in {{ template "__alertmanager" . }}</a>
</td></tr>
{{ with .Alerts.Firing -}}
{{ template "__mail_section" (dict "alerts" . "title" "firing" "colour" "#b91c1c") }}
{{- end }}
{{- with .Alerts.Resolved -}}
{{ template "__mail_section" (dict "alerts" . "title" "resolved" "colour" "#15803d") }}
{{- end -}}
</table>
<p style="margin: 16px 0 0; font-size: 12px; color: #64748b">Sent by {{ "" -}}
<a href="{{ .ExternalURL }}" style="color: #64748b">{{ template "__alertmanager" . }}</a></p>
</td></tr>
</table>
</body>
</html>
{{ end }}
"""
