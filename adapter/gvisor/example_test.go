// SPDX-License-Identifier: MIT

package gvisor_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/mytun/mytun/adapter/gvisor"
	"github.com/mytun/mytun/pkg/mytunev"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// A web server on an address that no interface of the machine has: its TCP runs in the process.
func Example() {
	dev, err := mytunev.Open(mytunev.Config{Name: "user0", Offload: mytunev.OffloadTx})
	if err != nil {
		log.Fatal(err)
	}
	endpoint, err := gvisor.New(dev)
	if err != nil {
		log.Fatal(err)
	}
	defer endpoint.Close()
	address := tcpip.AddrFrom4([4]byte{10, 1, 0, 2})
	s, err := newStack(endpoint, address)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := gonet.ListenTCP(s, tcpip.FullAddress{NIC: 1, Addr: address, Port: 80}, ipv4.ProtocolNumber)
	if err != nil {
		log.Fatal(err)
	}
	log.Print("ip addr add 10.1.0.1/24 dev user0 && ip link set user0 up && curl http://10.1.0.2/")
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", r.RemoteAddr)
	})))
}

// newStack makes a stack that has the endpoint as its only interface, and all routes through it.
func newStack(endpoint stack.LinkEndpoint, address tcpip.Address) (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := s.CreateNIC(1, endpoint); err != nil {
		return nil, fmt.Errorf("make the interface: %v", err)
	}
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: address.WithPrefix()}
	if err := s.AddProtocolAddress(1, own, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("add %v: %v", address, err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	return s, nil
}
