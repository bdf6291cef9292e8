# ruff: noqa: E501 - one case a line
"""Rule files and unit tests of rules, made to be judged by promtool and by us.

EXPRESSIONS stand in an alerting rule, RULES in a group, GROUPS in a file of their own; FILES are
whole. TESTS ask TESTED; the name of a test begins with what promtool says of it where that is
the point: right or wrong.
"""

from __future__ import annotations

EXPRESSIONS = {
    "metric": "up",
    "number": "1",
    "string": '"a"',
    "scalar_cmp": "1 > bool 2",
    "scalar_cmp_nobool": "1 > 2",
    "empty_paren": "()",
    "trail_op": "up >",
    "double_cmp": "up > > 1",
    "range": "up[5m]",
    "rate_noarg": "rate(up)",
    "rate_range": "rate(up[5m])",
    "rate_zero": "rate(up[0s])",
    "neg_range": "rate(up[-5m])",
    "subq": "max_over_time(rate(up[5m])[1h:1m])",
    "subq_nostep": "max_over_time(up[1h:])",
    "subq_badstep": "max_over_time(up[1h:0s])",
    "offset": "up offset 5m",
    "offset_neg": "up offset -5m",
    "offset_twice": "up offset 1m offset 2m",
    "at": "up @ 1600000000",
    "at_start": "up @ start()",
    "at_bad": "up @ foo",
    "at_nan": "up @ NaN",
    "agg_by": "sum by (a,b) (up)",
    "agg_after": "sum(up) by (a)",
    "agg_both": "sum by (a) (up) by (b)",
    "agg_trail_comma": "sum by (a,) (up)",
    "agg_noarg": "sum()",
    "topk": "topk(3, up)",
    "topk_str": 'topk("3", up)',
    "topk_missing": "topk(up)",
    "quantile": "quantile(0.9, up)",
    "count_values": 'count_values("v", up)',
    "count_values_badlabel": 'count_values("0v", up)',
    "count_values_nostr": "count_values(1, up)",
    "group_left": "a * on (x) group_left (y) b",
    "group_left_noon": "a * group_left b",
    "group_both": "a * on (x) group_left (x) b",
    "group_set": "a and on (x) group_left b",
    "bool_arith": "a + bool b",
    "set_scalar": "a and 1",
    "unless": "a unless on () b",
    "or": "a or b",
    "atan2": "a atan2 b",
    "pow": "2 ^ 3 ^ 2",
    "mod": "a % 2",
    "label_replace": 'label_replace(up, "a", "$1", "b", "(.*)")',
    "label_replace_args": 'label_replace(up, "a", "$1", "b")',
    "label_replace_badre": 'label_replace(up, "a", "$1", "b", "(")',
    "label_join": 'label_join(up, "a", ",", "b", "c")',
    "absent": 'absent(up{a="b"})',
    "histq": "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
    "unknown": "foo(up)",
    "upper": "RATE(up[5m])",
    "upper_agg": "SUM(up)",
    "sort_by_label": 'sort_by_label(up, "a")',
    "limitk": "limitk(2, up)",
    "mad": "mad_over_time(up[5m])",
    "holt": "holt_winters(up[5m], 0.5, 0.5)",
    "des": "double_exponential_smoothing(up[5m], 0.5, 0.5)",
    "info": "info(up)",
    "ts_of_last": "ts_of_last_over_time(up[5m])",
    "first": "first_over_time(up[5m])",
    "fill": "a + fill(0) b",
    "matchers_empty": "{}",
    "matcher_all_empty": '{a=""}',
    "matcher_re_empty": '{a=~".*"}',
    "matcher_plus": '{a=~".+"}',
    "matcher_badre": '{a=~"("}',
    "matcher_name_twice": 'up{__name__="x"}',
    "matcher_noquote": "up{a=b}",
    "matcher_trail": 'up{a="b",}',
    "matcher_singlequote": "up{a='b'}",
    "matcher_backtick": "up{a=`b`}",
    "matcher_utf8": '{"a.b", c="d"}',
    "matcher_quoted_label": 'up{"a.b"="c"}',
    "matcher_or": 'up{a="b" or c="d"}',
    "nre": 'up{a!~"b|c"}',
    "esc": 'up{a="\\\\d"}',
    "esc_bad": 'up{a="\\d"}',
    "lookahead": 'up{a=~"(?=x)"}',
    "backref": 'up{a=~"(x)\\\\1"}',
    "num_hex": "0x1F",
    "num_inf": "Inf",
    "num_neginf": "-Inf",
    "num_nan": "NaN",
    "num_us": "1_000",
    "num_dur": "up > 5m",
    "num_exp": "1e3",
    "num_dot": ".5",
    "num_trail": "5.",
    "num_two": "1 2",
    "neg": "-up",
    "plus": "+up",
    "negneg": "--up",
    "comment": "up # comment",
    "only_comment": "# c",
    "newline": "up\n > 1",
    "tab": "up\t> 1",
    "nbsp": "up\xa0> 1",
    "paren": "((up))",
    "unbalanced": "((up)",
    "trailing": "up)",
    "brace": "up{",
    "semicolon": "up;",
    "colon_name": "a:b:c",
    "kw_name": "sum",
    "kw_metric": "on",
    "kw_bool": "bool",
    "kw_offset": "offset",
    "unicode_metric": "température",
    "dash_metric": "a-b",
    "dur_ms": "rate(up[500ms])",
    "dur_mix": "rate(up[1h30m])",
    "dur_order": "rate(up[30m1h])",
    "dur_frac": "rate(up[1.5h])",
    "dur_year": "rate(up[1y])",
    "dur_expr": "rate(up[5m+1m])",
    "dur_number": "rate(up[300])",
    "scalar_fn": "scalar(up)",
    "vector_fn": "vector(1)",
    "time": "time()",
    "time_arg": "time(1)",
    "pi": "pi()",
    "deg": "deg(up)",
    "trig": "sin(up) + cos(up)",
    "day": "day_of_week()",
    "day_arg": "hour(up)",
    "clamp": "clamp(up, 0, 1)",
    "clamp_args": "clamp(up)",
    "round": "round(up, 5)",
    "round3": "round(up, 5, 6)",
    "changes": "changes(up[5m])",
    "present": "present_over_time(up[5m])",
    "quant_ot": "quantile_over_time(0.5, up[5m])",
    "pred": "predict_linear(up[1h], 3600)",
    "string_arg": 'rate("a")',
    "vec_to_scalar": "vector(up)",
    "sc_plus_str": '1 + "a"',
    "str_cmp": '"a" == "b"',
    "anchored": "rate(up[5m] anchored)",
    "smoothed": "rate(up[5m] smoothed)",
    "step": "step()",
    "range_fn": "range()",
    "histstd": "histogram_stddev(up)",
    "histavg": "histogram_avg(up)",
    "hist_frac": "histogram_fraction(0,1,up)",
    "at_offset": "up @ end() offset 5m",
    "off_at": "up offset 5m @ end()",
    "sub_off": "rate(up[5m:1m] offset 1m)",
    "sub_of_range": "rate(up[5m][1h:1m])",
    "range_of_range": "up[5m][5m]",
    "range_of_expr": "(up + 1)[5m]",
    "offset_expr": "(up + 1) offset 5m",
    "ignoring": "a / ignoring (x) b",
    "ignoring_gr": "a / ignoring (x) group_right b",
    "on_num": "1 / on (x) b",
    "on_empty": "a / on () b",
    "by_num": "sum by (1) (up)",
    "by_name": "sum by (__name__) (up)",
    "by_quoted": 'sum by ("a.b") (up)',
    "without": "sum without (a) (up)",
    "by_kw": "sum by (by) (up)",
    "eq_single": "up = 1",
    "eq_re": "up =~ 1",
    "neq": "up != 1",
    "ge_sp": "up > = 1",
}
RULES = {
    "tocsin": "record: r, expr: up, tocsin: {}",
    "utf8_label": 'alert: A, expr: up, labels: {"a.b": c}',
    "utf8_record": 'record: "a.b", expr: up',
    "utf8_annotation": 'alert: A, expr: up, annotations: {"a.b": c}',
    "utf8_alert": 'alert: "Änderung", expr: up',
    "alert_space": 'alert: "a b", expr: up',
    "empty_label_value": 'alert: A, expr: up, labels: {a: ""}',
    "null_label_value": "alert: A, expr: up, labels: {a: null}",
    "num_label": "alert: A, expr: up, labels: {a: 1}",
    "bool_label": "alert: A, expr: up, labels: {a: true}",
    "float_label": "alert: A, expr: up, labels: {a: 1.10}",
    "date_label": "alert: A, expr: up, labels: {a: 2020-01-01}",
    "list_label": "alert: A, expr: up, labels: {a: [b]}",
    "alertname_label": "alert: A, expr: up, labels: {alertname: b}",
    "name_label": "alert: A, expr: up, labels: {__name__: b}",
    "tmpl_range": 'alert: A, expr: up, annotations: {a: "{{ range query `up` }}{{ .Value }}{{ end }}"}',
    "tmpl_bad_func": 'alert: A, expr: up, annotations: {a: "{{ nofunc }}"}',
    "tmpl_undefined_var": 'alert: A, expr: up, annotations: {a: "{{ $nope }}"}',
    "tmpl_field": 'alert: A, expr: up, annotations: {a: "{{ .Nope }}"}',
    "tmpl_labels": 'alert: A, expr: up, annotations: {a: "{{ .Labels.x }} {{ $labels.y }} {{ $externalURL }} {{ $externalLabels.z }}"}',
    "tmpl_value_str": 'alert: A, expr: up, annotations: {a: "{{ $value | toUpper }}"}',
    "tmpl_divide": 'alert: A, expr: up, annotations: {a: "{{ humanize 1 2 }}"}',
    "tmpl_p3fn_toDuration": 'alert: A, expr: up, annotations: {a: "{{ toDuration 5.0 }}"}',
    "tmpl_p3fn_urlQuery": 'alert: A, expr: up, annotations: {a: "{{ urlQueryEscape `a b` }}"}',
    "tmpl_p3fn_now": 'alert: A, expr: up, annotations: {a: "{{ now }}"}',
    "tmpl_query_bad": 'alert: A, expr: up, annotations: {a: "{{ query `up +` }}"}',
    "tmpl_runtime": 'alert: A, expr: up, annotations: {a: "{{ index (list 1) 5 }}"}',
    "tmpl_first_empty": 'alert: A, expr: up, annotations: {a: "{{ query `up` | first | value }}"}',
    "tmpl_in_record": 'record: r, expr: up, labels: {a: "{{ nofunc }}"}',
    "tmpl_in_alertname": 'alert: "{{ x }}", expr: up',
    "tmpl_define": 'alert: A, expr: up, annotations: {a: "{{ define `x` }}y{{ end }}{{ template `x` }}"}',
    "tmpl_comment": 'alert: A, expr: up, annotations: {a: "{{/* c */}}"}',
    "keep_firing": "alert: A, expr: up, keep_firing_for: 5m",
    "for_week": "alert: A, expr: up, for: 1w",
    "for_ws": 'alert: A, expr: up, for: " 5m"',
    "for_int0": "alert: A, expr: up, for: 0",
    "extra_rule_key": "record: a, expr: up, foo: 1",
    "expr_list": "record: a, expr: [up]",
    "expr_null": "record: a, expr: null",
    "expr_bool": "record: a, expr: true",
    "expr_int": "record: a, expr: 5",
    "expr_float": "record: a, expr: 1.50",
    "expr_ws": 'record: a, expr: "  up  "',
    "record_kw": "record: sum, expr: up",
    "record_colon": 'record: ":a:", expr: up',
    "record_digit": "record: 1a, expr: up",
    "record_num": "record: 1, expr: up",
    "record_empty_alert": 'record: "", alert: A, expr: up',
}
GROUPS = {
    "query_offset": "name: g, query_offset: 1m, rules: [{record: r, expr: up}]",
    "group_labels": "name: g, labels: {a: b}, rules: [{record: r, expr: up}]",
    "group_labels_bad": 'name: g, labels: {"a-b": b}, rules: [{record: r, expr: up}]',
    "partial": "name: g, partial_response_strategy: warn, rules: [{record: r, expr: up}]",
    "interval_neg": "name: g, interval: -1m, rules: []",
    "interval_str0": 'name: g, interval: "0", rules: []',
    "interval_null": "name: g, interval: null, rules: []",
    "limit_str": 'name: g, limit: "5", rules: []',
    "limit_float": "name: g, limit: 1.5, rules: []",
    "limit_big": "name: g, limit: 99999999999999999999, rules: []",
    "name_num": "name: 1, rules: []",
    "name_bool": "name: true, rules: []",
    "name_null": "name: null, rules: []",
    "name_list": "name: [a], rules: []",
    "rules_null": "name: g, rules: null",
    "rules_missing": "name: g",
    "rules_str": "name: g, rules: abc",
    "rule_null": "name: g, rules: [null]",
    "rule_list": "name: g, rules: [[a]]",
    "alias": "name: g, rules: [&r {record: a, expr: up}, *r]",
    "alias_unknown": "name: g, rules: [*r]",
    "dup_key": "name: g, name: h, rules: []",
    "case_key": "Name: g, rules: []",
    "record_same_other_labels": "name: g, rules: [{record: a, expr: up},{record: a, expr: up, labels: {b: c}}]",
    "tag_bin": "name: !!binary Zw==, rules: []",
    "tag_custom": "name: !foo g, rules: []",
    "yaml11_on": "name: on, rules: [{alert: yes, expr: up}]",
    "sexagesimal": "name: 1:30, rules: []",
    "octal": "name: 010, rules: []",
    "dup_alerts_desc": "name: g, rules: [{alert: A, expr: up},{alert: A, expr: up == 0}]",
    "source_tenants": "name: g, source_tenants: [a], rules: []",
    "evaluation_delay": "name: g, evaluation_delay: 1m, rules: []",
    "align": "name: g, align_evaluation_time_on_interval: true, rules: []",
}
FILES: dict[str, str | bytes] = {
    "namespace": "namespace: x\ngroups: []",
    "group_null": "groups: [null]",
    "group_str": "groups: [abc]",
    "groups_map": "groups: {a: b}",
    "two_docs": "groups: []\n---\ngroups: []\n",
    "two_docs_bad": "groups: []\n---\nfoo: []\n",
    "empty": "",
    "spaces": "   \n\n",
    "only_comment": "# x\n",
    "null_doc": "null\n",
    "tabs": "groups:\n\t- name: g\n",
    "merge_key": "x: &x {alert: A}\ngroups: [{name: g, rules: [{<<: *x, expr: up}]}]",
    "dup_groups": "groups: []\ngroups: []",
    "crlf": "groups:\r\n  - name: g\r\n    rules: []\r\n",
    "tag": "groups: !!seq [{name: !!str g, rules: []}]",
    "flow_trailing": "groups: [{name: g, rules: [],},]",
    "multi_expr": "groups:\n- name: g\n  rules:\n  - record: a\n    expr: |\n      up\n      # c\n      > 1\n",
    "folded_expr": "groups:\n- name: g\n  rules:\n  - record: a\n    expr: >-\n      up\n      > 1\n",
    "latin1": "groups: [{name: é, rules: []}]".encode("latin1"),
    "nul": b'groups: [{name: "g\x00", rules: []}]',
    "long_name": f"groups: [{{name: {'a' * 5000}, rules: []}}]",
}

TESTED = """\
groups:
  - name: g
    rules:
      - record: job:up:avg
        expr: avg by (job) (up)
      - alert: Down
        expr: up == 0
        for: 2m
        labels: {severity: page, value: "{{ $value }}"}
        annotations: {summary: "{{ $labels.instance }} is down"}
      - alert: Kept
        expr: x > 5
        keep_firing_for: 3m
      - alert: Absent
        expr: absent(nothing)
"""
_DATA = """\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'up{job="a",instance="1"}', values: '1 1 0x10'}
      - {series: 'up{job="a",instance="2"}', values: '1x12'}
      - {series: 'x{a="b"}', values: '1 9 1x10'}
"""
_DOWN = '[{exp_labels: {severity: page, value: "0", job: a, instance: "1"}, exp_annotations: {summary: 1 is down}}]'


def _alert(name: str, at: str, expected: str) -> str:
    test = f"{{eval_time: {at}, alertname: {name}, exp_alerts: {expected}}}"
    return f"    alert_rule_test:\n      - {test}\n"


def _expr(expr: str, at: str, expected: str) -> str:
    test = f"eval_time: {at}\n        exp_samples: {expected}"
    return f"    promql_expr_test:\n      - expr: '{expr}'\n        {test}\n"


TESTS = {
    "right_firing": _DATA + _alert("Down", "4m", _DOWN),
    "right_not_yet": _DATA + _alert("Down", "3m", "[]"),
    "wrong_not_yet": _DATA + _alert("Down", "3m", _DOWN),
    "wrong_missing_label": _DATA
    + _alert(
        "Down",
        "4m",
        '[{exp_labels: {severity: page, job: a, instance: "1"}, exp_annotations: {summary: 1 is down}}]',
    ),
    "wrong_annotation": _DATA + _alert("Down", "4m", _DOWN.replace("1 is down", "2 is down")),
    "wrong_missing_annotation": _DATA
    + _alert("Down", "4m", '[{exp_labels: {severity: page, value: "0", job: a, instance: "1"}}]'),
    "wrong_expected_none": _DATA + _alert("Down", "5m", "[]"),
    "right_with_alertname": _DATA
    + _alert("Down", "4m", _DOWN.replace("{severity", "{alertname: Down, severity")),
    "right_alertname_label_is_overwritten": _DATA
    + _alert("Down", "4m", _DOWN.replace("{severity", "{alertname: Up, severity")),
    "right_unknown_alert": _DATA + _alert("NoSuch", "4m", "[]"),
    "wrong_unknown_alert": _DATA + _alert("NoSuch", "4m", "[{exp_labels: {a: b}}]"),
    "right_kept": _DATA + _alert("Kept", "3m", "[{exp_labels: {a: b}}]"),
    "wrong_kept_over": _DATA + _alert("Kept", "5m", "[{exp_labels: {a: b}}]"),
    "right_kept_over": _DATA + _alert("Kept", "5m", "[]"),
    "right_absent": _DATA + _alert("Absent", "0m", "[{}]"),
    "right_absent0": _DATA + _alert("Absent", "0", "[{}]"),
    "wrong_absent_two": _DATA + _alert("Absent", "1m", "[{},{}]"),
    "right_order": _DATA + _alert("Absent", "1m", "[{exp_labels: {}}]"),
    "right_beyond": _DATA + _alert("Absent", "90m", "[{}]"),
    "right_seconds": _DATA + _alert("Down", "250s", _DOWN),
    "right_recorded": _DATA
    + _expr(
        "job:up:avg",
        "3m",
        '[{labels: job:up:avg{job="a"}, value: 0.5}]'.replace(
            'job:up:avg{job="a"}', "'job:up:avg{job=\"a\"}'"
        ),
    ),
    "wrong_recorded_value": _DATA
    + _expr("job:up:avg", "3m", "[{labels: 'job:up:avg{job=\"a\"}', value: 0.6}]"),
    "wrong_recorded_label": _DATA
    + _expr("job:up:avg", "3m", "[{labels: 'job:up:avg{job=\"b\"}', value: 0.5}]"),
    "wrong_recorded_noname": _DATA
    + _expr("job:up:avg", "3m", "[{labels: '{job=\"a\"}', value: 0.5}]"),
    "right_empty": _DATA + _expr("nothing", "3m", "[]"),
    "right_empty_omitted": _DATA
    + "    promql_expr_test:\n      - expr: nothing\n        eval_time: 1m\n",
    "wrong_empty": _DATA + _expr("up", "3m", "[]"),
    "right_scalar": _DATA + _expr("1+1", "3m", "[{value: 2}]"),
    "right_scalar_braces": _DATA + _expr("1+1", "3m", "[{labels: '{}', value: 2}]"),
    "right_alerts_series": _DATA
    + _expr(
        'ALERTS{alertname="Absent"}',
        "3m",
        '[{labels: \'ALERTS{alertname="Absent",alertstate="firing"}\', value: 1}]',
    ),
    "right_for_state": _DATA
    + _expr(
        'ALERTS_FOR_STATE{alertname="Absent"}',
        "3m",
        "[{labels: 'ALERTS_FOR_STATE{alertname=\"Absent\"}', value: 0}]",
    ),
    "right_time": _DATA + _expr("time()", "3m", "[{value: 180}]"),
    "wrong_inf_with_a_sign": _DATA + _expr("1/0", "3m", "[{value: +Inf}]"),
    "wrong_inf": _DATA + _expr("1/0", "3m", "[{value: Inf}]"),
    "right_dotinf": _DATA + _expr("1/0", "3m", "[{value: .inf}]"),
    "wrong_nan": _DATA + _expr("0/0", "3m", "[{value: NaN}]"),
    "wrong_value_text": _DATA + _expr("1", "3m", "[{value: abc}]"),
    "right_value_hex": _DATA + _expr("16", "3m", "[{value: 0x10}]"),
    "right_value_exp": _DATA + _expr("1000", "3m", "[{value: 1e3}]"),
    "right_value_us": _DATA + _expr("1000", "3m", "[{value: 1_000}]"),
    "wrong_value_quoted": _DATA + _expr("1", "3m", "[{value: '1'}]"),
    "wrong_two_series": _DATA
    + _expr("up", "3m", '[{labels: \'up{job="a",instance="1"}\', value: 0}]'),
    "right_two_series": _DATA
    + _expr(
        "up",
        "3m",
        '[{labels: \'up{job="a",instance="2"}\', value: 1},{labels: \'up{instance="1", job="a"}\', value: 0}]',
    ),
    "right_lookback": _DATA + _expr("sum(up)", "16m", "[{value: 1}]"),
    "bad_expr": _DATA + _expr("up +", "3m", "[]"),
    "bad_eval_time": _DATA + _alert("Down", "x", "[]"),
    "bad_neg_eval": _DATA + _alert("Down", "-1m", "[]"),
    "bad_series": _DATA.replace('up{job="a",instance="1"}', "up{job=}")
    + _alert("Down", "4m", "[]"),
    "bad_values": _DATA.replace("1 1 0x10", "1 1 0x") + _alert("Down", "4m", "[]"),
    "bad_values2": _DATA.replace("1 1 0x10", "1,1") + _alert("Down", "4m", "[]"),
    "bad_key": _DATA + "    foo: 1\n",
    "bad_toplevel": "foo: 1\n" + _DATA,
    "no_rule_file": _DATA.replace("rules.yml", "absent.yml") + _alert("Down", "4m", "[]"),
    "no_rule_files": "tests: []\n",
    "empty": "",
    "list": "[]",
    "null": "null",
    "no_tests": "rule_files: [rules.yml]\n",
    "zero_interval": _DATA.replace("evaluation_interval: 1m", "evaluation_interval: 0s")
    + _alert("Down", "4m", _DOWN),
    "no_evalint": _DATA.replace("evaluation_interval: 1m\n", "") + _alert("Down", "4m", _DOWN),
    "slow_rounds": _DATA.replace("evaluation_interval: 1m", "evaluation_interval: 3m")
    + _alert("Down", "4m", "[]"),
    "slow_rounds2": _DATA.replace("evaluation_interval: 1m", "evaluation_interval: 3m")
    + _alert("Down", "6m", _DOWN),
    "ext_labels": _DATA.replace(
        "  - interval: 1m\n",
        "  - interval: 1m\n    external_labels: {c: d}\n    external_url: http://x\n",
    )
    + _alert("Down", "4m", _DOWN),
    "dup_series": _DATA.replace(
        "      - {series: 'x{a=\"b\"}', values: '1 9 1x10'}\n",
        "      - {series: 'x{a=\"b\"}', values: '1'}\n      - {series: 'x{a=\"b\"}', values: '9'}\n",
    )
    + _expr("x", "0", "[{labels: 'x{a=\"b\"}', value: 9}]"),
    "named_test": _DATA.replace("  - interval", "  - name: n\n    interval")
    + _alert("Down", "3m", _DOWN),
    "order": "group_eval_order: [g]\n" + _DATA + _alert("Down", "4m", _DOWN),
    "order_unknown": "group_eval_order: [h]\n" + _DATA + _alert("Down", "4m", _DOWN),
    "fuzzy": "fuzzy_compare: true\n" + _DATA + _alert("Down", "4m", _DOWN),
    "tests_two_docs": _DATA + _alert("Down", "4m", _DOWN) + "---\nfoo\n",
    "hist": _DATA.replace("'1 9 1x10'", "'{{schema:0 sum:1 count:1}}'")
    + _expr("nothing", "1m", "[]"),
    "stale": _DATA.replace("1 9 1x10", "1 stale _ 3") + _expr("x", "1m", "[]"),
    "gap": _DATA.replace("1 9 1x10", "1 _x3 3")
    + _expr("x", "2m", "[{labels: 'x{a=\"b\"}', value: 1}]"),
    "exp_annotations_null": _DATA + _alert("Absent", "1m", "[{exp_annotations: null}]"),
    "exp_alerts_null": _DATA + _alert("Down", "3m", "null"),
    "label_num": _DATA + _alert("Down", "4m", _DOWN.replace('"1"', "1").replace('"0"', "0")),
}
