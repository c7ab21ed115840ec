package config

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOwnPeers: a name that may stand for several nodes is no own one, and neither is another
// address of loopback, where another node of this machine may listen.
func TestOwnPeers(t *testing.T) {
	t.Parallel()
	name, err := os.Hostname()
	require.NoError(t, err)
	own := [][2]string{
		{"127.0.0.1:6222", "127.0.0.1:6222"}, {"localhost:6222", "127.0.0.1:6222"}, {"LOCALHOST:6222", "[::1]:6222"}, {"127.0.0.1:6222", "localhost:6222"},
		{"0.0.0.0:6222", "127.0.0.1:6222"}, {"0.0.0.0:6222", "0.0.0.0:6222"}, {"127.0.0.1:6222", "0.0.0.0:6222"}, {"localhost:6222", ":6222"}, {"[::1]:6222", "[::]:6222"},
		{name + ":6222", "0.0.0.0:6222"}, {"node-a.example:6222", "node-a.example:6222"},
	}
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok {
			own = append(own, [2]string{net.JoinHostPort(network.IP.String(), "6222"), "0.0.0.0:6222"})
		}
	}
	for _, of := range own {
		require.True(t, isOwnPeer(of[0], of[1]), "%s, which listens at %s", of[0], of[1])
	}
	for _, of := range [][2]string{
		{"127.0.0.1:6223", "127.0.0.1:6222"}, {"127.0.0.2:6222", "127.0.0.1:6222"}, {"192.0.2.1:6222", "0.0.0.0:6222"}, {"stompbox-nodes:6222", "0.0.0.0:6222"},
		{"127.0.0.1:6222", "192.0.2.1:6222"}, {"localhost:6222", "192.0.2.1:6222"}, {"a:6222", "b:6222"}, {"nonsense", "0.0.0.0:6222"}, {"a:6222", "nonsense"},
	} {
		require.False(t, isOwnPeer(of[0], of[1]), "%s, which listens at %s", of[0], of[1])
	}
}
