// Package fleet makes one queue of the logs of many nodes, on NATS JetStream.
//
// Each node keeps its own log, where events are captured. A mover hands each of
// its lanes over to the lane's stream, which all nodes share, and each lane of the
// fleet is delivered by the one node that owns it. Without a broker a node is what
// it is alone, but sends nothing: its log fills, and sheds.
//
// # What is promised
//
//   - An event that a node has made durable comes into its lane's stream once,
//     whatever happens to the node or the broker, as long as the node's disk is
//     there. It stays in the log for Options.Keep, so that a broker which has lost
//     its latest writes gets them again.
//   - A lane has one owner at a time. An owner that has lost its lane without
//     knowing, because its process stood still, may repeat events. It cannot break
//     their order: first deliveries are in the order of the stream.
//   - Events of one node in one lane are in their order. Those of one visitor on
//     several nodes are in the order of their time of capture as far as they are
//     sent together.
//   - Nothing here is waited for when an event is captured.
//
// # What is assumed
//
//   - An atomic batch is stored whole or not at all; a stream's sequences rise; a
//     key is written only where its revision is the expected one.
//   - Each node of a fleet has a name of its own, and all have the same destinations and
//     encryption keys. Their clocks differ by less than a lease.
//
// # How lanes are owned
//
// A node holds a session: the key node.<node>, which goes when it is not renewed
// within Options.Lease. A lease names the session that owns a lane, and counts for
// as long as the session is there. So a fleet renews one key a node, however many
// lanes it has. Each node takes lanes that nobody owns until it has its fair share,
// and gives back what it has more.
//
// The cursor of a lane has an epoch, which a new owner raises; from then on the
// cursor cannot be moved by the one before.
//
// # Reading the source
//
// Each part owns its state: session (this node's key and how long it counts), view
// (what the keys of all nodes say), movers, owned (a lane that this node delivers),
// cursor, pauses, erasures and dead letters. They know the broker by an interface
// (broker.go); behind it are connect.go, plan.go, layout.go, ensure.go, request.go,
// pull.go and jet*.go, and nothing else knows NATS. Tests have a broker in memory, in
// virtual time; package fleettest has real ones.
package fleet
