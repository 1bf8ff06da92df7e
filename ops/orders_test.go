package ops

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestOrders: an order is carried out for who has the token and is on this machine.
func TestOrders(t *testing.T) {
	s := &Server{cfg: Config{Orders: Orders{Token: "secret", Take: map[string]Order{
		"double": func(_ context.Context, in json.RawMessage) (any, error) {
			var n int
			if err := json.Unmarshal(in, &n); err != nil {
				return nil, Refuse("want a number")
			}
			if n == 0 {
				return nil, errors.New("nothing to double")
			}
			return 2 * n, nil
		},
	}}}, log: quiet(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{name}", s.order)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	address := strings.TrimPrefix(srv.URL, "http://")
	for _, c := range []struct {
		token, name string
		in          any
		want        int
		err         string
	}{
		{"secret", "double", 21, 42, ""},
		{"secret", "double", "x", 0, "want a number"},
		{"secret", "double", 0, 0, "order double: nothing to double"},
		{"secret", "halve", 2, 0, "order halve: this process does not take the order: it needs another role"},
		{"guess", "double", 1, 0, "order double: orders are taken from this machine and with the token of its keys only"},
		{"", "double", 1, 0, "order double: orders are taken from this machine and with the token of its keys only"},
	} {
		var got int
		err := Ask(t.Context(), address, c.token, c.name, c.in, &got)
		text := ""
		if err != nil {
			text = err.Error()
		}
		refused := (*RefusedError)(nil)
		if got != c.want || text != c.err || errors.As(err, &refused) != strings.HasPrefix(c.err, "want") {
			t.Errorf("%s %v with token %q: got %d, %q; want %d, %q", c.name, c.in, c.token, got, text, c.want, c.err)
		}
	}
	for address, want := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "10.0.0.1:80": false, "x": false} {
		if local(address) != want {
			t.Errorf("%s: local is %v", address, !want)
		}
	}
}
