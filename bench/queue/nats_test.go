//go:build linux

package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkNATSBatch is JetStream, embedded, on files with sync_interval:
// always. A group is an atomic batch, which the server syncs once.
func BenchmarkNATSBatch(b *testing.B) {
	lockStep(b, func(b *testing.B, dir string, _ int) store {
		return &natsBatch{natsServer: openNATS(b, dir)}
	})
}

// BenchmarkNATSAsync is the same with the ordinary publish: a group is sent
// without waiting and then waited for, and the server syncs each event.
func BenchmarkNATSAsync(b *testing.B) {
	lockStep(b, func(b *testing.B, dir string, _ int) store {
		return &natsAsync{natsServer: openNATS(b, dir)}
	})
}

const subject = "events"

type natsServer struct {
	srv  *server.Server
	conn *nats.Conn
	js   jetstream.JetStream
}

func openNATS(b *testing.B, dir string) *natsServer {
	b.Helper()
	srv, err := server.NewServer(&server.Options{
		JetStream: true, StoreDir: dir, SyncAlways: true, DontListen: true, NoLog: true, NoSigs: true,
		JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 1 << 30,
	})
	if err != nil {
		b.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		b.Fatal("the server is not ready")
	}
	conn, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		b.Fatal(err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(2048))
	if err != nil {
		b.Fatal(err)
	}
	_, err = js.CreateStream(context.Background(), jetstream.StreamConfig{
		Name: subject, Subjects: []string{subject}, Storage: jetstream.FileStorage, AllowAtomicPublish: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	return &natsServer{srv, conn, js}
}

func (s *natsServer) close() error {
	s.conn.Close()
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	return nil
}

type natsBatch struct {
	*natsServer
	batches int
}

func (s *natsBatch) put(group [][]byte) error {
	s.batches++
	id := "batch-" + strconv.Itoa(s.batches)
	for i, e := range group {
		msg := &nats.Msg{Subject: subject, Data: e, Header: nats.Header{
			"Nats-Batch-Id": {id}, "Nats-Batch-Sequence": {strconv.Itoa(i + 1)},
		}}
		if i < len(group)-1 {
			if err := s.conn.PublishMsg(msg); err != nil {
				return err
			}
			continue
		}
		msg.Header["Nats-Batch-Commit"] = []string{"1"}
		answer, err := s.conn.RequestMsg(msg, 30*time.Second)
		if err != nil {
			return err
		}
		var ack struct {
			Error json.RawMessage
			Count int
		}
		if err := json.Unmarshal(answer.Data, &ack); err != nil {
			return err
		}
		if ack.Count != len(group) {
			return fmt.Errorf("batch of %d acknowledged as %s", len(group), answer.Data)
		}
	}
	return nil
}

type natsAsync struct{ *natsServer }

func (s *natsAsync) put(group [][]byte) error {
	acks := make([]jetstream.PubAckFuture, len(group))
	for i, e := range group {
		var err error
		if acks[i], err = s.js.PublishAsync(subject, e); err != nil {
			return err
		}
	}
	for _, a := range acks {
		select {
		case <-a.Ok():
		case err := <-a.Err():
			return err
		}
	}
	return nil
}
