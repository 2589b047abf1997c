// SPDX-License-Identifier: MIT

// Demo is a network of hosts that answer pings, in one process. It creates a
// mytun network device, gives it an address, and answers ICMP and ICMPv6 echo
// requests to every other address of the subnet:
//
//	sudo go run ./cmd/demo
//	ping 10.77.0.2           # in another terminal
//	ping fd77::1234
//
// The requests come through a ring that the process shares with the kernel, are
// turned into replies where they lie, and go back through a second ring. With
// -syscalls, an eBPF program counts the system calls of the process meanwhile,
// and the summary at the end shows them: no read, no write, however many pings.
// What remains is epoll, to sleep while there is nothing to do, and one write to
// an eventfd for each time that the kernel's side had gone to sleep, too.
//
// Usage:
//
//	demo [flags]
//
// The flags are:
//
//	-name mytun0
//		name of the network device; it must not exist yet
//	-addr 10.77.0.1/24
//	-addr6 fd77::1/64
//		address of the device and length of the subnet's prefix; "" for none
//	-tap
//		make an Ethernet device, and answer ARP and neighbour discovery too
//	-queues 1
//		number of queues, each with a goroutine of its own
//	-ring 1048576
//		bytes of each ring, a power of two from 128 KiB to 64 MiB
//	-poll 0
//		how long the kernel watches the rings before it sleeps, at most 100ms;
//		0 for the module's default, negative for not at all
//	-count 0
//		stop after so many echo replies; 0 for no limit
//	-duration 0
//		stop after this time; 0 for no limit
//	-syscalls
//		count the system calls of this process with eBPF
//	-json
//		print what happens as JSON on standard output, and the summary for
//		people on standard error
//	-quiet
//		no status line while running
//
// It ends at SIGINT, SIGTERM, -count, -duration, or when the device is deleted,
// and prints a summary. SIGUSR1 sets a mark: it prints the figures since the
// mark before (or since the start), so that one phase can be looked at alone.
// The system calls that setting a mark takes are in no such interval, but they are
// in the summary. The exit status is 1 after an error and 2 after wrong usage.
//
// # What is answered
//
// Echo requests are answered as RFC 792 and RFC 4443 say, with a TTL or hop limit
// of 64. Left alone, and counted by reason, are fragments, packets with IPv4
// options or IPv6 extension headers, packets with a wrong checksum, whatever is
// malformed, and packets to the device's own address, to groups and to the
// broadcast address. ARP probes and duplicate address detection are left alone
// too, so that the device can be given more addresses while the demo runs.
//
// # JSON
//
// With -json every line on standard output is an object. Its "event" is
//
//   - "ready": the device is up and pings are answered
//   - "mark": figures since the last mark, after SIGUSR1
//   - "summary": figures since the start; the last line
//
// All have "device", "mode" ("TUN" or "TAP") and "queues". Marks and the summary
// have these as well; what has no unit in its name is a number of events:
//
//	reason                   why the demo ended (summary only)
//	seconds                  length of the interval
//	packets                  frames that came through the rx ring
//	packets_per_second       the same, divided by seconds
//	received_bytes           their length
//	sent_bytes               length of the answers
//	echo_replies             echo requests answered, IPv4 and IPv6
//	answered                 object: ipv4_echo, ipv6_echo, arp, neighbour
//	ignored                  object: other, address, extended, checksum, invalid
//	wakeups                  times the process came back from epoll
//	wakeups_per_packet       the same, divided by packets
//	doorbells_from_kernel    eventfd signals from the kernel
//	doorbells_from_kernel_spared  batches that found the process awake
//	doorbells_to_kernel      eventfd signals to the kernel, a system call each
//	kthread_sleeps           times the kernel's side went to sleep
//	rx_ring_full             times the kernel waited for room in the rx ring
//	tx_ring_full             times the process waited for room in the tx ring
//	dropped                  frames lost between the two, all reasons
//	drops                    object: the same by reason, where not zero
//	syscalls                 object, with -syscalls:
//	  read_write_calls       calls of the read and write families, on anything
//	                         but standard input, output and error: the next three
//	  packet_calls           on /dev/net/mytun, or on a descriptor nobody knows
//	  eventfd_calls          on the queues' eventfds: doorbells to the kernel,
//	                         at most one per sleep of the kernel's side, and at
//	                         the end the process's signal to itself
//	  other_calls            on other files, such as those of the Go runtime
//	  stdio_calls            on standard input, output and error
//	  total_calls            all calls
//	  lost_calls             calls that found no room to be counted
//	  calls                  array, most frequent first, of objects: name,
//	                         number, fd (-1 if not by descriptor), on (what fd
//	                         is), count, per_packet
package main
