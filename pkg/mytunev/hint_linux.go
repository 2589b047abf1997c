// SPDX-License-Identifier: MIT

package mytunev

import (
	"bytes"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openError is the error of Open for a device node that cannot be opened.
func openError(path string, err error) error {
	e := opError("open", path, err, openHint(err))
	if noModule(err) {
		return &classedError{e, ErrNoModule}
	}
	return e
}

// noModule reports whether an error of the node means that there is no module here.
func noModule(err error) bool {
	return err == unix.ENOENT || err == unix.ENODEV || err == unix.ENXIO
}

// openHint says what to do about a device node that cannot be opened.
func openHint(err error) string {
	switch {
	case noModule(err):
		return moduleHint(os.DirFS("/"), kernelRelease())
	case err == unix.EACCES:
		return "the node's permissions do not allow it: run as root, or have the udev rule of mytun's package"
	case err == unix.EPERM:
		return "this container may not use the device: start it with --device /dev/net/mytun"
	}
	return ""
}

// moduleHint says what keeps the kernel of that release from having the node, by
// what is below root.
func moduleHint(root fs.FS, release string) string {
	if _, err := fs.Stat(root, "sys/module/mytun"); err == nil {
		return "the module is loaded, but its node is not here: hand it to a container with --device /dev/net/mytun"
	}
	modules, err := fs.ReadFile(root, "lib/modules/"+release+"/modules.dep")
	if err != nil || bytes.Contains(modules, []byte("/mytun.ko")) {
		return "the module is not loaded: sudo modprobe mytun"
	}
	return "kernel " + release + " has no module mytun: install the package mytun-dkms, or 'sudo make install load' in mytun's sources"
}

// kernelRelease is what uname -r says.
func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
