package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"supstream/capture"
)

// Client asks the process that listens on an address (the configuration's http.listen) for back-fills.
type Client struct {
	Listen string
	Token  string
}

// AnswerError is a request that the process refused.
type AnswerError struct {
	Code int // of HTTP
	Text string
}

func (e *AnswerError) Error() string { return e.Text }

// Wrong reports whether the request itself was wrong: asking again does not help.
func (e *AnswerError) Wrong() bool {
	return e.Code == http.StatusBadRequest || e.Code == http.StatusNotFound
}

// List is all orders, oldest first.
func (c Client) List(ctx context.Context) ([]Backfill, error) {
	return c.ask(ctx, "list", struct{}{})
}

// Start orders a back-fill. Asking twice with the same ID orders once.
func (c Client) Start(ctx context.Context, r BackfillRequest) ([]Backfill, error) {
	return c.ask(ctx, "start", r)
}

// Change changes an order.
func (c Client) Change(ctx context.Context, id string, change capture.OrderChange, perSecond int) ([]Backfill, error) {
	return c.ask(ctx, "change", BackfillChange{ID: id, Change: string(change), RowsPerSecond: perSecond})
}

func (c Client) ask(ctx context.Context, what string, body any) ([]Backfill, error) {
	address, err := reachable(c.Listen)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("ask for back-fill: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/admin/backfill/"+what, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("ask for back-fill: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Content-Type", "application/json")
	// A proxy of the environment must not be asked for a process nearby.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for back-fill: %w: does supstream run, and is http.listen its address?", err)
	}
	defer res.Body.Close()
	in := json.NewDecoder(io.LimitReader(res.Body, 64<<20))
	if res.StatusCode != http.StatusOK {
		var e struct {
			Error string `json:"error"`
		}
		if in.Decode(&e) != nil || e.Error == "" {
			e.Error = fmt.Sprintf("%s answered %s: is it supstream with the roles capture and serve?", address, res.Status)
		}
		return nil, &AnswerError{res.StatusCode, e.Error}
	}
	var list []Backfill
	if err := in.Decode(&list); err != nil {
		return nil, fmt.Errorf("ask for back-fill: %s: %w", address, err)
	}
	return list, nil
}
