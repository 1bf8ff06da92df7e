package ops

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// Disk is a folder whose file system is measured at every scrape.
type Disk struct {
	Kind string // the metric's label: data, outbox, projections
	Path string
}

// disks measures file systems.
type disks struct {
	list       []Disk
	free, size *prometheus.Desc
}

func newDisks(list []Disk) *disks {
	return &disks{list,
		prometheus.NewDesc("supstream_disk_free_bytes", "Bytes that can still be written to the file system of a folder.", []string{"kind"}, nil),
		prometheus.NewDesc("supstream_disk_size_bytes", "Size of the file system of a folder.", []string{"kind"}, nil)}
}

func (d *disks) Describe(ch chan<- *prometheus.Desc) { ch <- d.free; ch <- d.size }

func (d *disks) Collect(ch chan<- prometheus.Metric) {
	for _, disk := range d.list {
		var st unix.Statfs_t
		if err := unix.Statfs(disk.Path, &st); err != nil {
			ch <- prometheus.NewInvalidMetric(d.free, fmt.Errorf("file system of %s: %w", disk.Path, err))
			continue
		}
		ch <- prometheus.MustNewConstMetric(d.free, prometheus.GaugeValue, float64(st.Bavail)*float64(st.Bsize), disk.Kind)
		ch <- prometheus.MustNewConstMetric(d.size, prometheus.GaugeValue, float64(st.Blocks)*float64(st.Bsize), disk.Kind)
	}
}

// store measures the streams.
type store struct {
	measure     func() (used, limit int64, err error)
	used, limit *prometheus.Desc
}

func newStore(measure func() (used, limit int64, err error)) *store {
	return &store{measure,
		prometheus.NewDesc("supstream_store_used_bytes", "Bytes that the streams take on disk.", nil, nil),
		prometheus.NewDesc("supstream_store_limit_bytes", "Bytes that the streams may take; -1 without a limit of their own.", nil, nil)}
}

func (s *store) Describe(ch chan<- *prometheus.Desc) { ch <- s.used; ch <- s.limit }

func (s *store) Collect(ch chan<- prometheus.Metric) {
	used, limit, err := s.measure()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(s.used, fmt.Errorf("size of the streams: %w", err))
		return
	}
	ch <- prometheus.MustNewConstMetric(s.used, prometheus.GaugeValue, float64(used))
	ch <- prometheus.MustNewConstMetric(s.limit, prometheus.GaugeValue, float64(limit))
}
