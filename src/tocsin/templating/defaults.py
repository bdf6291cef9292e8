"""The templates every tenant has until it defines its own, under Alertmanager's names.

Texts that a receiver's default settings refer to. To add an integration, add its lines to
`_LINES`, or a file of its own to `DEFAULTS`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.templating.defaults_email import EMAIL

_SUBJECT = '{{ template "__subject" . }}'
_NAME = '{{ template "__alertmanager" . }}'
_URL = '{{ template "__alertmanagerURL" . }}'
_NOTES = '{{ .CommonAnnotations.SortedPairs.Values | join " " }}'
_REPORT = _NOTES + '\n{{ template "__alerts_by_status" . }}'
_SPACED = '\n{{ template "__alerts_by_status_spaced" . }}\n'

_SHARED = r"""
{{- /* What all integrations build on. */ -}}
{{ define "__alertmanager" }}Alertmanager{{ end }}
{{ define "__alertmanagerURL" }}
  {{- .ExternalURL }}/#/alerts?receiver={{ urlquery .Receiver }}
{{- end }}
{{ define "__description" }}{{ end }}

{{ define "__subject" }}
  {{- $own := len .GroupLabels -}}
  [{{ toUpper .Status }}{{ if eq "firing" .Status }}:{{ len .Alerts.Firing }}{{ end }}] {{ "" -}}
  {{ join " " .GroupLabels.Values }} {{ "" -}}
  {{ if lt $own (len .CommonLabels) -}}
    ({{ with .CommonLabels.Remove .GroupLabels.Names }}{{ join " " .Values }}{{ end }})
  {{- end }}
{{- end }}

{{ define "__pairs" }}{{ range . }} - {{ .Name }} = {{ .Value }}
{{ end }}{{ end }}

{{ define "__text_alert_list" }}{{ range $alert := . }}Labels:
{{ template "__pairs" $alert.Labels.SortedPairs }}Annotations:
{{ template "__pairs" $alert.Annotations.SortedPairs }}Source: {{ $alert.GeneratorURL }}
{{ end }}{{ end }}

{{ define "__alerts_by_status" }}
  {{- with .Alerts.Firing }}Alerts Firing:
{{ template "__text_alert_list" . }}{{ end }}
{{ with .Alerts.Resolved }}Alerts Resolved:
{{ template "__text_alert_list" . }}{{ end }}
{{- end }}

{{ define "__alerts_by_status_spaced" }}
  {{- with .Alerts.Firing }}
Alerts Firing:
{{ template "__text_alert_list" . }}
{{ end }}
{{ with .Alerts.Resolved }}
Alerts Resolved:
{{ template "__text_alert_list" . }}
{{ end }}
{{- end }}
"""

# name of the template -> its body
_LINES: Mapping[str, str] = {
    "slack.default.callbackid": "",
    "slack.default.color": '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}',
    "slack.default.fallback": '{{ template "slack.default.title" . }} | '
    '{{ template "slack.default.titlelink" . }}',
    "slack.default.footer": "",
    "slack.default.iconemoji": "",
    "slack.default.iconurl": "",
    "slack.default.pretext": "",
    "slack.default.text": "",
    "slack.default.title": _SUBJECT,
    "slack.default.titlelink": _URL,
    "slack.default.username": _NAME,
    "pagerduty.default.client": _NAME,
    "pagerduty.default.clientURL": _URL,
    "pagerduty.default.description": _SUBJECT,
    "pagerduty.default.instances": '{{ template "__text_alert_list" . }}',
    "opsgenie.default.description": _REPORT,
    "opsgenie.default.message": _SUBJECT,
    "opsgenie.default.source": _URL,
    "victorops.default.entity_display_name": _SUBJECT,
    "victorops.default.monitoring_tool": _NAME,
    "victorops.default.state_message": _REPORT,
    "pushover.default.message": _NOTES + _SPACED,
    "pushover.default.title": _SUBJECT,
    "pushover.default.url": _URL,
    "sns.default.message": _NOTES + _SPACED,
    "sns.default.subject": _SUBJECT,
    "telegram.default.message": _SPACED,
    "discord.default.message": _SPACED,
    "discord.default.title": _SUBJECT,
    "webex.default.message": _NOTES + _SPACED,
    "wechat.default.agent_id": "",
    "wechat.default.message": f"{_SUBJECT}\n{_REPORT}\nAlertmanagerUrl:\n{_URL}",
    "wechat.default.to_party": "",
    "wechat.default.to_tag": "",
    "wechat.default.to_user": "",
}


def _defines(lines: Mapping[str, str]) -> str:
    return "\n".join(
        f'{{{{ define "{name}" }}}}{body}{{{{ end }}}}' for name, body in lines.items()
    )


# file -> text, in the order in which they are added
DEFAULTS: Mapping[str, str] = {
    "default/shared.tmpl": _SHARED,
    "default/lines.tmpl": _defines(_LINES),
    "default/email.tmpl": EMAIL,
}
