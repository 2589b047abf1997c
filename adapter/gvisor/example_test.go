// SPDX-License-Identifier: MIT

package gvisor_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/mytun/mytun/adapter/gvisor"
	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// A web server on an address that no interface of the machine has: its TCP runs in the process.
func Example() {
	dev, err := mytunev.Open(mytunev.Config{Name: "user0", Offload: mytunev.OffloadTx})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log.Print("ip addr add 10.1.0.1/24 dev user0 && ip link set user0 up && curl http://10.1.0.2/")
	log.Print(serve(ctx, dev, tcpip.AddrFrom4([4]byte{10, 1, 0, 2})))
}

// serve answers requests to an IPv4 address that is reached by a device, which it then owns, until ctx is done.
func serve(ctx context.Context, dev *mytunev.Device, address tcpip.Address) error {
	endpoint, err := gvisor.New(dev)
	if err != nil {
		return err
	}
	defer endpoint.Close()
	s, err := newStack(endpoint, address)
	if err != nil {
		return err
	}
	defer s.Destroy()
	listener, err := gonet.ListenTCP(s, tcpip.FullAddress{NIC: nic, Addr: address, Port: 80}, ipv4.ProtocolNumber)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.RemoteAddr)
	})}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	return server.Serve(listener)
}

const nic = 1

// newStack makes a stack that has the endpoint as its only interface, and all routes through it.
func newStack(endpoint stack.LinkEndpoint, addresses ...tcpip.Address) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if err := s.CreateNIC(nic, endpoint); err != nil {
		return nil, fmt.Errorf("make the interface: %v", err)
	}
	for _, address := range addresses {
		own := tcpip.ProtocolAddress{Protocol: protocolOf(address), AddressWithPrefix: address.WithPrefix()}
		if err := s.AddProtocolAddress(nic, own, stack.AddressProperties{}); err != nil {
			return nil, fmt.Errorf("add %v: %v", address, err)
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	return s, nil
}

func protocolOf(address tcpip.Address) tcpip.NetworkProtocolNumber {
	if address.Len() == header.IPv6AddressSize {
		return ipv6.ProtocolNumber
	}
	return ipv4.ProtocolNumber
}
