// SPDX-License-Identifier: MIT

// Package native measures in a kernel that is a process of this machine: User-mode Linux, whose code the processor executes as it is.
//
// It is in two halves. The host's boots the kernel, watches how far its two CPUs are from each other and what else they have to do, and makes rows of
// what the guest's half (package guest) has measured in the kernel, window by window. Both read the same clock, the processor's time stamp
// counter, which tells the host what the machine was like in each window.
package native

import "time"

// A Module is what a turn is measured with: a build of mytun's module, or none.
type Module struct {
	Peer string // what the rows call it
	File string // its path in the guest; empty for what needs none
}

// A Plan is what the guest is to do. The host leaves it in PlanFile of the guest's root.
type Plan struct {
	KHz     float64       // of the time stamp counter
	CPUs    int           // that the guest has
	Modules []Module      // in turn
	Peers   bool          // measure stock tun and vhost-net beside them
	Cases   []Case        // to do
	Rounds  int           // times that each case has its turns
	Windows int           // measured in each turn
	Window  time.Duration // how long each is
}

// A Turn is what the guest measured of one module in one turn of a case.
type Turn struct {
	Case    Case
	Peer    string
	Windows []Window
}

// A Window is what happened between two readings of the clock or, before Sub, from the beginning to one.
type Window struct {
	From, To  uint64 // the time stamp counter
	Packets   uint64 // that arrived
	Dropped   uint64 // that the interface did not take
	Doorbells uint64
	Process   float64 // ns of its CPU time, without Thread
	Thread    float64 // of the module's threads, or vhost-net's
	Sender    float64 // of the generators
}

// Sub returns what happened from the reading o to the reading w.
func (w Window) Sub(o Window) Window {
	return Window{
		From: o.To, To: w.To, Packets: w.Packets - o.Packets, Dropped: w.Dropped - o.Dropped, Doorbells: w.Doorbells - o.Doorbells,
		Process: w.Process - o.Process, Thread: w.Thread - o.Thread, Sender: w.Sender - o.Sender,
	}
}

// Files in the guest's root.
const (
	PlanFile  = "plan.json"
	TurnsFile = "turns.json" // Turns, one after the other
	ErrorFile = "error"      // why the guest failed
)

// length estimates how long the plan takes: a turn's setting up, and its windows and one more.
func (p *Plan) length() time.Duration {
	const setUp = 300 * time.Millisecond
	var turns int
	for _, c := range p.Cases {
		turns += len(c.Turns(p.Modules, p.Peers))
	}
	return time.Duration(p.Rounds*turns) * (setUp + time.Duration(p.Windows+1)*p.Window)
}

// HelperWord as the first argument makes the program one of the guest's helpers.
const HelperWord = "-helper"
