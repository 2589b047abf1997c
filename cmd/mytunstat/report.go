// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"fmt"
	"time"
)

// A report tells of the time between two samples. The package documentation explains
// the fields of all types here.
type report struct {
	Time      time.Time      `json:"time"`
	Seconds   float64        `json:"seconds"`
	Namespace uint64         `json:"network_namespace"`
	Devices   []deviceReport `json:"devices"`
	Gone      []string       `json:"gone"`
	Notes     []string       `json:"notes"`
}

type deviceReport struct {
	Device     string        `json:"device"`
	Index      int           `json:"index"`
	Mode       string        `json:"mode"`
	MTU        int           `json:"mtu"`
	Up         bool          `json:"up"`
	Carrier    bool          `json:"carrier"`
	Persistent bool          `json:"persistent"`
	Rates      *rates        `json:"rates"`
	Queues     []queueReport `json:"queues"`
}

type queueReport struct {
	Queue    int             `json:"queue"`
	New      bool            `json:"new"`
	Parked   bool            `json:"parked"`
	Broken   []string        `json:"broken"`
	Rings    *rings          `json:"rings"`
	Rates    *rates          `json:"rates"`
	Counters counters        `json:"counters"`
	Drops    map[string]drop `json:"drops"`
	Owners   []owner         `json:"owners"`
}

type rates struct {
	RxPackets float64  `json:"rx_packets_per_second"`
	RxBytes   float64  `json:"rx_bytes_per_second"`
	RxWakeups *float64 `json:"rx_wakeups_per_1000_packets"`
	TxPackets float64  `json:"tx_packets_per_second"`
	TxBytes   float64  `json:"tx_bytes_per_second"`
	TxWakeups *float64 `json:"tx_wakeups_per_1000_packets"`
	Drops     float64  `json:"drops_per_second"`
}

// A drop is one reason for which packets were lost.
type drop struct {
	Total  uint64   `json:"total"`
	Second *float64 `json:"per_second"`
}

// newReport compares two samples.
func newReport(before, after sample) *report {
	r := &report{
		Time: after.at, Seconds: after.at.Sub(before.at).Seconds(), Namespace: after.namespace,
		Devices: []deviceReport{}, Gone: []string{}, Notes: notes(after),
	}
	old := map[int]device{}
	for _, d := range before.devices {
		old[d.index] = d
	}
	for _, d := range after.devices {
		r.Devices = append(r.Devices, newDeviceReport(old[d.index], d, r.Seconds))
		delete(old, d.index)
	}
	for _, d := range before.devices {
		if _, gone := old[d.index]; gone {
			r.Gone = append(r.Gone, d.name)
		}
	}
	return r
}

func newDeviceReport(before, after device, seconds float64) deviceReport {
	d := deviceReport{
		Device: after.name, Index: after.index, Mode: "TUN", MTU: after.mtu,
		Up: after.up, Carrier: after.carrier, Persistent: after.mytun.persistent,
		Queues: []queueReport{},
	}
	if after.mytun.tap {
		d.Mode = "TAP"
	}
	old := map[int]queue{}
	for _, q := range before.queues {
		old[q.number] = q
	}
	sum, known := counters{}, false
	for _, q := range after.queues {
		grown, ok := counters(nil), false
		if b, there := old[q.number]; there {
			grown, ok = q.counters.since(b.counters)
		}
		sum.add(grown)
		known = known || ok
		d.Queues = append(d.Queues, newQueueReport(q, grown, ok, seconds))
	}
	if known {
		d.Rates = newRates(sum, seconds)
	}
	return d
}

// newQueueReport tells of a queue whose counters have grown, if that is known.
func newQueueReport(q queue, grown counters, known bool, seconds float64) queueReport {
	r := queueReport{
		Queue: q.number, New: !known, Parked: q.parked, Broken: q.broken, Rings: q.rings,
		Counters: q.counters, Drops: map[string]drop{}, Owners: q.owners,
	}
	if r.Owners == nil {
		r.Owners = []owner{}
	}
	if r.Counters == nil {
		r.Counters = counters{}
	}
	if known {
		r.Rates = newRates(grown, seconds)
	}
	for name, total := range q.counters {
		if !isDrop(name) {
			continue
		}
		one := drop{Total: total}
		if known {
			one.Second = perSecond(grown[name], seconds)
		}
		r.Drops[name] = one
	}
	return r
}

func newRates(grown counters, seconds float64) *rates {
	return &rates{
		RxPackets: *perSecond(grown["rx_frames"], seconds),
		RxBytes:   *perSecond(grown["rx_bytes"], seconds),
		RxWakeups: perThousand(grown["rx_doorbells"], grown["rx_frames"]),
		TxPackets: *perSecond(grown["tx_frames"], seconds),
		TxBytes:   *perSecond(grown["tx_bytes"], seconds),
		TxWakeups: perThousand(grown["tx_doorbells"], grown["tx_frames"]),
		Drops:     *perSecond(grown.drops(), seconds),
	}
}

// perSecond is never infinite: a clock may stand still.
func perSecond(n uint64, seconds float64) *float64 {
	const shortest = 1e-9
	if seconds < shortest {
		seconds = shortest
	}
	rate := float64(n) / seconds
	return &rate
}

// perThousand is nil where there were no packets.
func perThousand(n, packets uint64) *float64 {
	if packets == 0 {
		return nil
	}
	ratio := 1000 * float64(n) / float64(packets)
	return &ratio
}

// notes are what the sample lacks, and why.
func notes(s sample) []string {
	said := []string{}
	switch n := s.ownerless(); {
	case n > 0 && s.denied:
		said = append(said, fmt.Sprintf("no owner, ring fill and broken rings of %s: the processes are another user's: "+
			"as root (sudo mytunstat) they are shown", plural(n, "queue")))
	case n > 0:
		said = append(said, fmt.Sprintf("no owner, ring fill and broken rings of %s: this process does not see who holds them "+
			"(another PID namespace, or hidepid): run mytunstat outside of the container, as root", plural(n, "queue")))
	}
	if len(s.devices) == 0 {
		said = append(said, "no mytun device to show in this network namespace"+s.others())
	}
	return said
}

// others says how to see what is in other namespaces.
func (s sample) others() string {
	const how = "ip netns exec NAMESPACE mytunstat"
	if s.elsewhere > 0 {
		return fmt.Sprintf("; processes hold %s in others: %s", plural(s.elsewhere, "queue"), how)
	}
	return "; for another one: " + how
}

// ownerless is how many queues there are whose owners are not known.
func (s sample) ownerless() (n int) {
	for _, d := range s.devices {
		for _, q := range d.queues {
			if len(q.owners) == 0 {
				n++
			}
		}
	}
	return n
}
