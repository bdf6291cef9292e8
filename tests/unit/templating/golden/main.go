// Writes what Go itself prints for a list of templates: the golden files of this directory.
//
//	go run main.go text < text.json > text.new && mv text.new text.json
//	go run main.go html < html.json > html.new && mv html.new html.json
//
// A file is a list of {"template", "output"}; "output" is null where Go refuses the template.
// The data is the same as in test_golden.py.
package main

import (
	"bytes"
	"encoding/json"
	htmltemplate "html/template"
	"io"
	"os"
	"regexp"
	"strings"
	texttemplate "text/template"
	"time"
)

type pair struct{ Name, Value string }

type alert struct {
	Status   string
	Labels   map[string]string
	StartsAt time.Time
}

type root struct {
	S      string
	N      int
	F      float64
	B      bool
	M      map[string]string
	A      map[string]any
	L      []string
	LA     []any
	T      time.Time
	D      time.Duration
	Nil    any
	Alerts []alert
	Pair   pair
}

type golden struct {
	Template string  `json:"template"`
	Output   *string `json:"output"`
}

type executor interface {
	Execute(w io.Writer, data any) error
}

var functions = map[string]any{
	"dur":      time.ParseDuration,
	"f64":      func(f float64) float64 { return f },
	"fset":     func(s string) (f float64, err error) { err = json.Unmarshal([]byte(s), &f); return },
	"join":     func(sep string, items []string) string { return strings.Join(items, sep) },
	"list":     func(items ...any) []any { return items },
	"match":    regexp.MatchString,
	"safeHtml": func(s string) htmltemplate.HTML { return htmltemplate.HTML(s) },
	"safeUrl":  func(s string) htmltemplate.URL { return htmltemplate.URL(s) },
	"reReplaceAll": func(pattern, repl, text string) string {
		return regexp.MustCompile(pattern).ReplaceAllString(text, repl)
	},
	"stringSlice": func(items ...string) []string { return items },
	"title":       strings.Title,
	"toDate":      func(layout, text string) (time.Time, error) { return time.Parse(layout, text) },
	"toJson":      func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"toLower":     strings.ToLower,
	"toUpper":     strings.ToUpper,
	"tz": func(name string, t time.Time) (time.Time, error) {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return t, err
		}
		return t.In(zone), nil
	},
}

func data() root {
	at := time.Date(2026, 3, 1, 9, 5, 7, 123456000, time.UTC)
	return root{
		S: "a<b>&\"'c", N: 42, F: 3.14, B: true,
		M: map[string]string{"k": "v", "a": "1"},
		A: map[string]any{
			"x": 1, "y": "z", "n": nil, "l": []any{1, "a", nil, 2.5, true}, "m": map[string]any{"q": 1.0},
		},
		L: []string{"x", "y", "z"}, LA: []any{1, "b"}, T: at,
		D:    90*time.Minute + 5*time.Millisecond,
		Pair: pair{"n", "v"},
		Alerts: []alert{
			{"firing", map[string]string{"a": "b"}, at.Truncate(time.Second)},
		},
	}
}

func parse(kind, text string) (executor, error) {
	if kind == "html" {
		return htmltemplate.New("t").Option("missingkey=zero").Funcs(functions).Parse(text)
	}
	return texttemplate.New("t").Option("missingkey=zero").Funcs(functions).Parse(text)
}

func render(kind, text string) *string {
	parsed, err := parse(kind, text)
	if err != nil {
		return nil
	}
	var out bytes.Buffer
	if parsed.Execute(&out, data()) != nil {
		return nil
	}
	shown := out.String()
	return &shown
}

func main() {
	var cases []golden
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	for i := range cases {
		cases[i].Output = render(os.Args[1], cases[i].Template)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(cases); err != nil {
		panic(err)
	}
}
