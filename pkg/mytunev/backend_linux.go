// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

func open(c Config) (*Device, error) {
	r, err := c.route(os.Getenv(backendVariable))
	if err != nil {
		return nil, err
	}
	return opener{openMytun, openTun, linkDriver}.open(c, r)
}

func openMytun(c Config) (*Device, error) { return openQueues(c, openQueue) }

// An opener has the ways to open a device, and one to find out whose it is: the name
// of the driver that a network device belongs to, "" if there is no such device.
type opener struct {
	mytun, tun func(c Config) (*Device, error)
	driver     func(name string) string
}

func (o opener) open(c Config, r route) (*Device, error) {
	c.Path = r.mytunNode
	switch {
	case r.backend == BackendTun:
		return o.openTun(c, r, r.by)
	case r.backend == BackendMytun:
		return chosen(BackendMytun, r.by, o.mytun, c)
	case r.onlyMytun:
		return chosen(BackendMytun, "Config.Path names its node", o.mytun, c)
	case c.Name != "" && o.driver(c.Name) == "tun":
		return o.openTun(c, r, c.Name+" exists, and is a device of stock tun")
	}
	d, err := chosen(BackendMytun, r.mytunNode+" is there", o.mytun, c)
	if err == nil || !unusable(err) {
		return d, err
	}
	d, other := o.openTun(c, r, err.Error())
	if other != nil {
		return nil, fmt.Errorf("%w; and in place of mytun: %w", err, other)
	}
	return d, nil
}

func (o opener) openTun(c Config, r route, why string) (*Device, error) {
	c.Path = r.tunNode
	return chosen(BackendTun, why, o.tun, c)
}

// chosen opens a device, and has it remember by what and why.
func chosen(b Backend, why string, open func(Config) (*Device, error), c Config) (*Device, error) {
	d, err := open(c)
	if err != nil {
		return nil, err
	}
	d.backend, d.why = b, why
	return d, nil
}

// unusable tells whether an error of opening mytun means that this process cannot use
// the module, whatever it asks of it: there is no node, or none that it may open, or
// the module is not one for this package.
func unusable(err error) bool {
	var node *nodeError
	if errors.As(err, &node) {
		return slices.ContainsFunc([]error{unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.EACCES, unix.EPERM},
			func(e error) bool { return errors.Is(err, e) })
	}
	return errors.Is(err, unix.EPROTO)
}

// A nodeError is an error of opening a device node.
type nodeError struct{ error }

func (e *nodeError) Unwrap() error { return e.error }

// linkDriver asks for the driver of a network device of this network namespace.
func linkDriver(name string) string {
	if len(name) >= unix.IFNAMSIZ {
		return ""
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(s)
	info, err := unix.IoctlGetEthtoolDrvinfo(s, name)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Driver[:])
}
