package local

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

var nextPort atomic.Int32

// Address returns a free loopback address whose port the system does not give to
// outgoing connections, so that it stays free while the process that had it is
// restarted. None is returned twice by one process.
func Address() (string, error) {
	const first, count = 20000, 10000
	for range count {
		port := first + (int(nextPort.Add(1))+os.Getpid()*50)%count
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no port is free")
}
