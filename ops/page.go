package ops

import (
	"bytes"
	"html"
	"io"
	"net/http"
)

// page is the status as text, refreshed by the browser every ten seconds.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	var text bytes.Buffer
	if err := s.status(r.Context()).WriteText(&text); err != nil {
		http.Error(w, "status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Refresh", "10")
	_, err := io.WriteString(w, "<!DOCTYPE html>\n<html lang=\"en\"><title>supstream</title>\n<p>"+
		"<a href=\"metrics\">metrics</a> <a href=\"healthz\">healthz</a> <a href=\"readyz\">readyz</a> <a href=\"status\">status</a>\n<pre>"+
		html.EscapeString(text.String())+"</pre>\n</html>\n")
	if err != nil {
		s.log.Debug("answer not taken", "error", err)
	}
}
