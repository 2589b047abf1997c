// SPDX-License-Identifier: MIT

package mytunev

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// configure sets what c asks of an attached queue and its device, and undoes what
// an earlier owner of a persistent device may have asked for.
func (c Config) configure(fd int, features uint64, name string) error {
	if features&featureOffload != 0 {
		err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, int(c.Offload.kernelFlags()))
		if err != nil {
			return opError("set the offloads of", name, err, "Config.Offload is "+c.Offload.String())
		}
	}
	if features&featureBackpressure != 0 {
		var on uint32
		if c.Backpressure {
			on = 1
		}
		if err := ioctl(fd, iocSetBackpressure, &on); err != nil {
			return opError("set the back-pressure of", name, err, "")
		}
	}
	if us, set := c.pollMicroseconds(); set {
		if err := ioctl(fd, iocSetPoll, &us); err != nil {
			return opError("set the poll window of", name, err, "")
		}
	}
	return nil
}

// check says what to do if a module with these feature bits cannot do what c asks.
func (c Config) check(features uint64, name string) error {
	if err := c.supported(features); err != nil {
		return opError("configure", name, err, "use a newer module, or ask for less")
	}
	return nil
}

// supported tells whether a module with these feature bits can do what c asks.
func (c Config) supported(features uint64) error {
	for _, need := range []struct {
		wanted  bool
		feature uint64
		what    string
	}{
		{c.Offload != 0, featureTxVNet, "Config.Offload"},
		{c.Offload.rx(), featureOffload, "Config.Offload " + c.Offload.String()},
		{c.Offload&OffloadUDPTunnel != 0, featureUDPTunnel, "Config.Offload " + c.Offload.String()},
		{c.Backpressure, featureBackpressure, "Config.Backpressure"},
		{c.WakeBytes != 0, featureRxHold, "Config.WakeBytes"},
		{c.Headroom != 0, featureRxRoom, "Config.Headroom"},
		{c.Tailroom != 0, featureRxRoom, "Config.Tailroom"},
	} {
		if need.wanted && features&need.feature == 0 {
			return fmt.Errorf("the module knows no %s: %w", need.what, ErrNotSupported)
		}
	}
	return nil
}
