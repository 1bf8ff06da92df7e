package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// readings are numbers of a supstream run, each summed over its labels. Counters count from the start of the demo: they go on over
// restarts.
type readings struct {
	events, files, fileBytes float64
	lagSum, lagCount         float64 // commit to durable, in seconds
	loaded                   float64 // rows read by the back-fill

	held, pendingTables float64 // now
	streaming           bool
}

// meter reads /metrics of the child.
type meter struct {
	url    string
	client *http.Client
	before readings // counters of the processes that were killed
	last   readings // of this process alone
}

func newMeter(url string) *meter {
	return &meter{url: url, client: &http.Client{Timeout: 2 * time.Second}}
}

// read asks the process. It fails while the process does not serve yet.
func (m *meter) read(ctx context.Context) (readings, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return readings{}, err
	}
	answer, err := m.client.Do(req)
	if err != nil {
		return readings{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return readings{}, fmt.Errorf("%s: %s", m.url, answer.Status)
	}
	if m.last, err = parseReadings(answer.Body); err != nil {
		return readings{}, fmt.Errorf("%s: %w", m.url, err)
	}
	return m.last.plus(m.before), nil
}

// restarted tells the meter that the process was replaced by another, which counts from zero.
func (m *meter) restarted() {
	m.before = m.last.plus(m.before)
	m.last = readings{}
}

// plus adds the counters of earlier processes.
func (r readings) plus(earlier readings) readings {
	r.events += earlier.events
	r.files += earlier.files
	r.fileBytes += earlier.fileBytes
	r.lagSum += earlier.lagSum
	r.lagCount += earlier.lagCount
	r.loaded += earlier.loaded
	return r
}

// parseReadings reads the text format of Prometheus as far as our own metrics need it: no label value holds a blank.
func parseReadings(text io.Reader) (readings, error) {
	var r readings
	sums := map[string]*float64{
		"supstream_stream_events_total":                    &r.events,
		"supstream_projection_files_total":                 &r.files,
		"supstream_projection_file_bytes_total":            &r.fileBytes,
		"supstream_stream_commit_to_durable_seconds_sum":   &r.lagSum,
		"supstream_stream_commit_to_durable_seconds_count": &r.lagCount,
		"supstream_backfill_rows_total":                    &r.loaded,
		"supstream_held_rows":                              &r.held,
		"supstream_backfill_tables_pending":                &r.pendingTables,
	}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || series == "#" {
			continue
		}
		name, labels, _ := strings.Cut(series, "{")
		sum := sums[name]
		if sum == nil && name != "supstream_capture_state" {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return r, fmt.Errorf("metric %s is not a number", name)
		}
		if sum != nil {
			*sum += v
		} else if labels == `state="streaming"}` {
			r.streaming = v == 1
		}
	}
	return r, lines.Err()
}
