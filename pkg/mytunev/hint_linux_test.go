// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
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

// TestNoModule: the ways of a system to have no mytun are one error, those of a process
// that may not use it are not.
func TestNoModule(t *testing.T) {
	for err, want := range map[unix.Errno]bool{
		unix.ENOENT: true, unix.ENODEV: true, unix.ENXIO: true,
		unix.EACCES: false, unix.EPERM: false, unix.EMFILE: false, unix.ENOTDIR: false,
	} {
		got := openError("/dev/net/mytun", err)
		for _, class := range []error{ErrNoModule, ErrNotSupported, errors.ErrUnsupported} {
			if errors.Is(got, class) != want {
				t.Errorf("%v: is %v: %v, want %v", got, class, !want, want)
			}
		}
		if !errors.Is(got, err) || got.Error() != opError("open", "/dev/net/mytun", err, openHint(err)).Error() {
			t.Errorf("%v, want the error number and the hint", got)
		}
	}
	if errors.Is(ErrNotSupported, ErrNoModule) || errors.Is(ErrClosed, ErrNoModule) {
		t.Error("other errors are ErrNoModule too")
	}
}

// TestOpenSaysNoModule: Open returns it.
func TestOpenSaysNoModule(t *testing.T) {
	if _, err := Open(Config{Path: t.TempDir() + "/mytun"}); !errors.Is(err, ErrNoModule) {
		t.Errorf("%v, want ErrNoModule", err)
	}
	if _, err := Open(Config{Path: "/dev/null"}); errors.Is(err, ErrNoModule) {
		t.Errorf("of another file: %v", err)
	}
}
