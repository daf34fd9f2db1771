// Package faults puts whole fleets through what happens in the field: nodes that
// crash, freeze, leave and lose their network, brokers that stop, are full or have
// gone back in time. After each nothing that a node had made durable may be lost,
// nor be delivered out of its visitor's order.
package faults
