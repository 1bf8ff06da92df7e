package ops

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Order is something that a command asks a running process to do: POST /orders/<name> with a JSON object, answered with JSON. An order
// goes on for as long as its caller waits; when the caller goes away, ctx ends.
type Order func(ctx context.Context, in json.RawMessage) (out any, err error)

// Orders are what a process takes orders for, by name. They are taken from this machine only, and only with the token.
type Orders struct {
	Token string
	Take  map[string]Order
}

// RefusedError is an order that was understood and refused: what was asked for is wrong, or not possible now.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// Refuse makes a RefusedError.
func Refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// answer is the body of every answer to an order.
type answer struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

const maxOrder = 1 << 20

// order answers POST /orders/{name}.
func (s *Server) order(w http.ResponseWriter, r *http.Request) {
	given := r.Header.Get("Authorization")
	if !local(r.RemoteAddr) || s.cfg.Orders.Token == "" ||
		subtle.ConstantTimeCompare([]byte(given), []byte("Bearer "+s.cfg.Orders.Token)) != 1 {
		s.json(w, http.StatusForbidden, answer{Error: "orders are taken from this machine and with the token of its keys only"})
		return
	}
	do := s.cfg.Orders.Take[r.PathValue("name")]
	if do == nil {
		s.json(w, http.StatusNotFound, answer{Error: "this process does not take the order: it needs another role"})
		return
	}
	in, err := io.ReadAll(io.LimitReader(r.Body, maxOrder))
	if err == nil { // an order may take longer than any other answer
		c := http.NewResponseController(w)
		err = errors.Join(c.SetWriteDeadline(time.Time{}), c.SetReadDeadline(time.Time{}))
	}
	if err != nil {
		s.json(w, http.StatusBadRequest, answer{Error: err.Error()})
		return
	}
	out, err := do(r.Context(), in)
	refused := (*RefusedError)(nil)
	switch {
	case errors.As(err, &refused):
		s.json(w, http.StatusUnprocessableEntity, answer{Error: err.Error()})
		return
	case err != nil:
		s.json(w, http.StatusInternalServerError, answer{Error: err.Error()})
		return
	}
	body, err := json.Marshal(out)
	if err != nil {
		s.json(w, http.StatusInternalServerError, answer{Error: err.Error()})
		return
	}
	s.json(w, http.StatusOK, answer{Result: body})
}

func (s *Server) jsonCode(w http.ResponseWriter, code int, v answer) { s.json(w, code, v) }

func local(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Ask gives an order to the process that listens on an address and waits for its result. What the process refuses is a RefusedError.
func Ask(ctx context.Context, listen, token, name string, in, out any) error {
	address, err := reachable(listen)
	if err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/orders/"+name, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("order %s: %w", name, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy of the environment for a process nearby
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("order %s: %w: does supstream run, and is http.listen its address?", name, err)
	}
	defer res.Body.Close()
	var a answer
	err = json.NewDecoder(io.LimitReader(res.Body, 64<<20)).Decode(&a)
	switch {
	case res.StatusCode == http.StatusUnprocessableEntity && a.Error != "":
		return &RefusedError{a.Error}
	case a.Error != "":
		return fmt.Errorf("order %s: %s", name, a.Error)
	case err != nil || res.StatusCode != http.StatusOK:
		return fmt.Errorf("order %s: %s answered %s: http.listen is the address of something else, or of an older supstream", name, address, res.Status)
	}
	if err := json.Unmarshal(a.Result, out); err != nil {
		return fmt.Errorf("order %s: its result is not understood: %w", name, err)
	}
	return nil
}
