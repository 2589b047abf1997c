// SPDX-License-Identifier: MIT

package tunbpf_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/tunbpf"
)

// A device that carries tunnels: four queues share their inner flows, and what is
// sent to a network that is shut off does not come into a ring.
func Example() {
	dev, err := mytunev.Open(mytunev.Config{Mode: mytunev.TAP, Queues: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()

	steering, err := tunbpf.NewFlowSteering(tunbpf.FlowConfig{Mode: dev.Mode()})
	if err != nil {
		log.Fatal(err)
	}
	if err := dev.AttachSteering(steering); err != nil {
		log.Fatal(err)
	}
	steering.Close() // the device has it

	filter, err := tunbpf.NewPrefixFilter(tunbpf.PrefixConfig{Mode: dev.Mode()})
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close() // kept, to change the list
	if err := dev.AttachFilter(filter.Program()); err != nil {
		log.Fatal(err)
	}
	if err := filter.Add(netip.MustParsePrefix("198.51.100.0/24")); err != nil {
		log.Fatal(err)
	}
	log.Fatal(dev.Run(context.Background(), func(b *mytunev.Batch) error {
		for f := range b.Frames() {
			fmt.Printf("queue %d: %d bytes\n", b.Queue().Index(), len(f.Data))
		}
		return nil
	}))
}

// At first each CPU sends to a queue of its own, then all to the last, while the
// others are drained.
func ExampleCPUSteering() {
	dev, err := mytunev.Open(mytunev.Config{Queues: 3})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	steering, err := tunbpf.NewCPUSteering()
	if err != nil {
		log.Fatal(err)
	}
	defer steering.Close()
	if err := dev.AttachSteering(steering.Program()); err != nil {
		log.Fatal(err)
	}
	for cpu := range steering.CPUs() {
		if err := steering.Set(cpu, 2); err != nil {
			log.Fatal(err)
		}
	}
}

// The list of a filter, which can be changed while frames pass. Making it takes
// CAP_BPF.
func ExamplePrefixFilter() {
	filter, err := tunbpf.NewPrefixFilter(tunbpf.PrefixConfig{
		Match:  tunbpf.Source,
		Policy: tunbpf.Allow,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer filter.Close()
	err = filter.Add(
		netip.MustParsePrefix("fd00::/8"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("192.0.2.7/32"),
	)
	if err != nil {
		log.Fatal(err)
	}
	if err := filter.Remove(netip.MustParsePrefix("192.0.2.7/32")); err != nil {
		log.Fatal(err)
	}
	list, err := filter.Prefixes()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list)
}
