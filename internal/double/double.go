// SPDX-License-Identifier: MIT

// Package double joins package mytunev, which can make a device without a kernel behind it, with package mytuntest, which plays
// that kernel. It is here so that neither needs an exported name for it.
package double

// A Kernel is what is behind the rings of a device. Its methods are called by one goroutine a queue and direction.
type Kernel interface {
	// Next gives up the next frame for a queue, with what is left to do to it, a mytunev.VNetHeader. ok is false if there is none.
	Next(queue int) (payload []byte, vnet any, ok bool)

	// Take takes a frame from a queue. It must not keep payload.
	Take(queue int, payload []byte, vnet any)
}

// A Device is one that Open has made.
type Device struct {
	Value  any                          // *mytunev.Device
	Wake   func(queue int)              // Next has a frame again
	Delete func()                       // as deleting the network device does
	Change func(change func(state any)) // as an administrator does: of a *mytunev.Link
}

// Open makes a device as a mytunev.Config says. Package mytunev puts it here; it is nil where there can be none.
var Open func(config any, k Kernel) (*Device, error)
