//go:build !linux

package capture

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// datagrams is there on Linux only.
type datagrams struct {
	conn         *net.UDPConn
	receiveBytes int
}

type datagram struct {
	data  []byte
	from  netip.Addr
	nanos int64
	drops uint32
}

var errLinuxOnly = errors.New("receiving tunnels needs Linux")

func listenDatagrams(context.Context, string, int) (*datagrams, error) { return nil, errLinuxOnly }
func (d *datagrams) poll() (int, error)                                { return 0, errLinuxOnly }
func (d *datagrams) receive() (int, error)                             { return 0, errLinuxOnly }
func (d *datagrams) message(int) datagram                              { return datagram{} }
func (d *datagrams) readDrops() uint32                                 { return 0 }
