// SPDX-License-Identifier: MIT

package mytunev

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// TestModuleHint: whoever has no node learns which of the reasons is theirs.
func TestModuleHint(t *testing.T) {
	const modules = "lib/modules/6.12.1-test/modules.dep"
	for _, c := range []struct {
		name string
		root fstest.MapFS
		want string
	}{
		{"loaded, as in a container", fstest.MapFS{
			"sys/module/mytun/refcnt": {}, modules: {Data: []byte("updates/dkms/mytun.ko.xz:\n")},
		}, "--device /dev/net/mytun"},
		{"loaded and not installed", fstest.MapFS{"sys/module/mytun/refcnt": {}}, "--device /dev/net/mytun"},
		{"installed and not loaded", fstest.MapFS{modules: {Data: []byte("kernel/drivers/net/tun.ko:\nupdates/dkms/mytun.ko.xz:\n")}}, "sudo modprobe mytun"},
		{"not built for this kernel", fstest.MapFS{
			modules: {Data: []byte("kernel/drivers/net/tun.ko:\n")}, "lib/modules/6.1.0/modules.dep": {Data: []byte("extra/mytun.ko:\n")},
		}, "kernel 6.12.1-test has no module mytun: install the package mytun-dkms"},
		{"of another name", fstest.MapFS{modules: {Data: []byte("extra/notmytun.ko:\n")}}, "mytun-dkms"},
		{"nothing to be known", fstest.MapFS{}, "sudo modprobe mytun"},
	} {
		if got := moduleHint(c.root, "6.12.1-test"); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestOpenHint(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{unix.ENOENT, moduleHint(os.DirFS("/"), kernelRelease())},
		{unix.ENXIO, "mytun"},
		{unix.EACCES, "udev rule"},
		{unix.EPERM, "container"},
	} {
		if got := openHint(c.err); got == "" || !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
	if got := openHint(unix.EMFILE); got != "" {
		t.Errorf("EMFILE: %q, want nothing that it might not be", got)
	}
	if release := kernelRelease(); release == "" || strings.ContainsRune(release, 0) {
		t.Errorf("kernel %q", release)
	}
}
