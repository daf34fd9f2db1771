//go:build linux

package queue

import (
	"context"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"
)

// BenchmarkOTelCollector is the Collector's persistent queue: the exporter
// helper's sending queue on the file storage extension with fsync. A group is
// one request with a log record for each event, which is its unit of writing.
func BenchmarkOTelCollector(b *testing.B) {
	lockStep(b, func(b *testing.B, dir string, _ int) store { return openOTel(b, dir) })
}

type otelQueue struct {
	exp     exporter.Logs
	storage component.Component
	release chan struct{}
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

func openOTel(b *testing.B, dir string) *otelQueue {
	b.Helper()
	ctx := context.Background()
	factory := filestorage.NewFactory()
	cfg, ok := factory.CreateDefaultConfig().(*filestorage.Config)
	if !ok {
		b.Fatal("file storage has another configuration")
	}
	cfg.Directory, cfg.Compaction.Directory, cfg.FSync = dir, dir, true
	id := component.NewID(factory.Type())
	ext, err := factory.Create(ctx, extension.Settings{ID: id, TelemetrySettings: componenttest.NewNopTelemetrySettings()}, cfg)
	if err != nil {
		b.Fatal(err)
	}
	h := host{id: ext}
	if err := ext.Start(ctx, h); err != nil {
		b.Fatal(err)
	}

	queue := exporterhelper.NewDefaultQueueConfig()
	queue.StorageID = &id
	queue.QueueSize = 1 << 40 // never full
	queue.NumConsumers = 1
	queue.Batch = configoptional.None[exporterhelper.BatchConfig]()
	q := &otelQueue{storage: ext, release: make(chan struct{})}
	// Only capture is measured: the consumer takes one request and holds it.
	hold := func(context.Context, plog.Logs) error {
		<-q.release
		return nil
	}
	kind := component.MustNewType("bench")
	q.exp, err = exporterhelper.NewLogs(ctx,
		exporter.Settings{ID: component.NewID(kind), TelemetrySettings: componenttest.NewNopTelemetrySettings()},
		struct{}{}, consumer.ConsumeLogsFunc(hold),
		exporterhelper.WithQueue(configoptional.Some(queue)),
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: time.Hour}))
	if err != nil {
		b.Fatal(err)
	}
	if err := q.exp.Start(ctx, h); err != nil {
		b.Fatal(err)
	}
	return q
}

func (q *otelQueue) put(group [][]byte) error {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.EnsureCapacity(len(group))
	for _, e := range group {
		records.AppendEmpty().Body().SetStr(string(e))
	}
	return q.exp.ConsumeLogs(context.Background(), logs)
}

func (q *otelQueue) close() error {
	close(q.release)
	if err := q.exp.Shutdown(context.Background()); err != nil {
		return err
	}
	return q.storage.Shutdown(context.Background())
}
