// SPDX-License-Identifier: MIT

// Mytunstat shows what goes through mytun devices: packets and bytes a second each
// way, wake-ups, how full the rings are, drops by reason, and whose the queues are.
//
//	mytunstat                  all devices, measured for a second
//	mytunstat -w               the same again and again
//	mytunstat -w 5 mytun0      one device, each 5 seconds
//	mytunstat -json            for programs
//
// Usage:
//
//	mytunstat [flags] [DEVICE...]
//
// The flags are:
//
//	-w [INTERVAL]
//		go on: a sample each INTERVAL, in seconds or as 500ms, from 100ms to
//		24h (1s). A number after -w is an interval; a device that is named
//		after a number comes after --. A terminal is written over, elsewhere each
//		line begins with the time
//	-json
//		a JSON document a sample, on a line of its own
//
// rx is what the process receives and tx is what it sends, as everywhere in mytun:
// rx is what "ip -s link" calls TX. A super-packet is one packet. The columns:
//
//	RX-PKT/s, RX-B/s   packets and bytes a second, of the time between two looks
//	RX-WAKE            doorbells from the kernel in 1,000 packets
//	RX-FILL            how full the ring was when it was looked at
//	TX-...             the same of what the process sends; its doorbells wake the kernel
//	DROP/s             packets refused and dropped a second, both ways; below, by
//	                   reason and since the queue was opened, with the names of ethtool -S
//	STATE              down and no carrier are the device's, parked (TUNSETQUEUE),
//	                   rx broken, tx broken and new the queue's: new was not there when
//	                   looked at before, or its counters began anew, and has no rates yet
//	OWNER              the processes that hold the queue
//
// It shows the network namespace that it runs in; for another one: ip netns exec
// NAMESPACE mytunstat. An ordinary user sees the owners of the queues, how full
// their rings are, and parked and broken queues, of their own processes only, root
// those of all that are visible; what is missing is said below. The processes are
// those that have a file open whose name ends in mytun.
//
// The exit status is 1 after an error and 2 after wrong usage.
//
// # JSON
//
// Fields keep their names and meaning; more may come. A field that is not known is
// null. All that ends in _per_second is of the interval.
//
//	time               when the counters were read, RFC 3339
//	seconds            since they were read before
//	network_namespace  its number, as in /proc/PID/ns/net
//	devices            array, by name, of objects:
//	  device           name
//	  index            interface index
//	  mode             "TUN" or "TAP"
//	  mtu              bytes
//	  up, carrier      whether the interface is up, and has its carrier
//	  persistent       whether it outlives its last queue
//	  rates            of all its queues together, an object or null:
//	    rx_packets_per_second, rx_bytes_per_second
//	    rx_wakeups_per_1000_packets    null without packets
//	    tx_packets_per_second, tx_bytes_per_second
//	    tx_wakeups_per_1000_packets    null without packets
//	    drops_per_second               of all reasons
//	  queues           array, by number, of objects:
//	    queue          number
//	    new            it was not there before, or its counters began anew
//	    parked         it gets no packets
//	    broken         array of "rx" and "tx": rings whose indices made no sense;
//	                   null if no owner could be looked at
//	    rings          object or null, bytes: rx_size, rx_used, tx_size, tx_used.
//	                   A used is null if the module is too old to tell; a size is 0
//	                   if the queue has no ring that way
//	    rates          as above, or null for a new queue
//	    counters       object, all of ethtool -S, since the queue was opened
//	    drops          object, by reason: total, and per_second (null for a new queue)
//	    owners         array of objects: pid, command
//	gone               array of devices that were there before and are not now
//	notes              array, what is missing, in words for people
package main
