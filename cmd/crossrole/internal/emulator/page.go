package emulator

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// shownCalls is how many calls the page lists.
const shownCalls = 200

// page shows the world and its last calls. It loads nothing and runs no script.
func (e *Emulator) page(w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, struct {
		World worldView
		Calls []call
		URL   string
	}{e.view(), e.calls(shownCalls, false), "http://" + r.Host})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(out.Bytes()) // the browser may have left
}
