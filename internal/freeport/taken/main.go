// Taken prints those of the given TCP ports that are in use on 127.0.0.1. A server
// that shares its ports, as Caddy does on Linux, would start beside another one and
// get every other connection.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	for _, port := range os.Args[1:] {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			fmt.Println(port)
			continue
		}
		_ = l.Close()
	}
}
