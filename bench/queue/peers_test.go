package queue

import (
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go"
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	_ "go.opentelemetry.io/collector/exporter/exporterhelper"
	_ "github.com/intilery/caddy-intilery/forwarder/wal"
)
