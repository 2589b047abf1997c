// SPDX-License-Identifier: MIT

package mytunev

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBackendString(t *testing.T) {
	for b, want := range map[Backend]string{
		BackendAuto: "auto", BackendMytun: "mytun", BackendTun: "tun", 3: "Backend(3)", -1: "Backend(-1)",
	} {
		if got := b.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestRoute: which backends are tried, and at which nodes.
func TestRoute(t *testing.T) {
	for _, c := range []struct {
		config   Config
		variable string
		want     route
	}{
		{Config{}, "", route{BackendAuto, "Config.Backend is auto", defaultPath, tunPath, false}},
		{Config{Path: "/m"}, "", route{BackendAuto, "Config.Backend is auto", "/m", tunPath, true}},
		{Config{Backend: BackendTun, Path: "/t"}, "", route{BackendTun, "Config.Backend is tun", defaultPath, "/t", false}},
		{Config{Backend: BackendMytun, Path: "/m"}, "", route{BackendMytun, "Config.Backend is mytun", "/m", tunPath, true}},
		{Config{Backend: BackendMytun, Path: "/m"}, "tun", route{BackendTun, "MYTUN_BACKEND is tun", "/m", tunPath, true}},
		{Config{Backend: BackendTun, Path: "/t"}, "mytun", route{BackendMytun, "MYTUN_BACKEND is mytun", defaultPath, "/t", false}},
		{Config{Backend: BackendTun, Path: "/t"}, "auto", route{BackendAuto, "MYTUN_BACKEND is auto", defaultPath, "/t", false}},
	} {
		if got, err := c.config.route(c.variable); got != c.want || err != nil {
			t.Errorf("%+v with %q: %+v, %v, want %+v", c.config, c.variable, got, err, c.want)
		}
	}
}

func TestVariableThatIsNone(t *testing.T) {
	t.Setenv(backendVariable, "stock")
	_, err := Open(Config{})
	if err == nil || !strings.Contains(err.Error(), `MYTUN_BACKEND is "stock"`) {
		t.Errorf("%v, want what is wrong with the variable", err)
	}
}

// TestOpenChooses: what Open opens, by what is there, and how it explains that.
func TestOpenChooses(t *testing.T) {
	node := func(errno error) error { return &nodeError{opError("open", "/dev/net/mytun", errno, "")} }
	attach := func(errno error) error { return opError("attach to", "x", errno, "") }
	for name, c := range map[string]struct {
		config     Config
		variable   string
		mytun, tun error // of opening it
		driver     string
		want       Backend // 0: Open fails
		text       string  // in why, or in the error
		is         error
	}{
		"there":           {want: BackendMytun, text: "/dev/net/mytun is there"},
		"no node":         {mytun: node(unix.ENOENT), want: BackendTun, text: "open /dev/net/mytun: no such file"},
		"no driver":       {mytun: node(unix.ENXIO), want: BackendTun, text: "no such device or address"},
		"no module":       {mytun: node(unix.ENODEV), want: BackendTun, text: "no such device"},
		"no permission":   {mytun: node(unix.EACCES), want: BackendTun, text: "permission denied"},
		"container":       {mytun: node(unix.EPERM), want: BackendTun, text: "operation not permitted"},
		"too many files":  {mytun: node(unix.EMFILE), text: "too many open files", is: unix.EMFILE},
		"another release": {mytun: mismatch("x"), want: BackendTun, text: "same release"},
		"name is taken":   {mytun: attach(unix.EBUSY), text: "attach to x", is: unix.EBUSY},
		"no rights":       {mytun: attach(unix.EPERM), text: "attach to x", is: unix.EPERM},
		"too much asked":  {mytun: attach(ErrNotSupported), text: "not supported", is: ErrNotSupported},
		"neither, first":  {mytun: node(unix.ENOENT), tun: node(unix.EACCES), text: "in place of mytun", is: unix.ENOENT},
		"neither, second": {mytun: node(unix.ENOENT), tun: node(unix.EACCES), text: "in place of mytun", is: unix.EACCES},
		"stock tun's":     {config: Config{Name: "tun7"}, driver: "tun", want: BackendTun, text: "tun7 exists, and is a device of stock tun"},
		"mytun's":         {config: Config{Name: "tun7"}, driver: "mytun", want: BackendMytun, text: "is there"},
		"a path":          {config: Config{Path: "/m"}, mytun: node(unix.ENOENT), text: "no such file", is: unix.ENOENT},
		"asked for mytun": {config: Config{Backend: BackendMytun}, mytun: node(unix.ENOENT), is: unix.ENOENT},
		"asked for tun":   {config: Config{Backend: BackendTun}, want: BackendTun, text: "Config.Backend is tun"},
		"variable":        {config: Config{Backend: BackendMytun}, variable: "tun", want: BackendTun, text: "MYTUN_BACKEND is tun"},
		"variable, auto":  {config: Config{Backend: BackendMytun}, variable: "auto", mytun: node(unix.ENOENT), want: BackendTun, text: "no such file"},
		"variable, mytun": {variable: "mytun", mytun: node(unix.ENOENT), is: unix.ENOENT},
	} {
		t.Run(name, func(t *testing.T) {
			opened := func(err error) func(Config) (*Device, error) {
				return func(Config) (*Device, error) { return &Device{}, err }
			}
			r, err := c.config.route(c.variable)
			if err != nil {
				t.Fatal(err)
			}
			d, err := opener{opened(c.mytun), opened(c.tun), func(string) string { return c.driver }}.open(c.config, r)
			if c.want == BackendAuto {
				if d != nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, %v, want %v with %q", d, err, c.is, c.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b, why := d.Backend(); b != c.want || !strings.Contains(why, c.text) {
				t.Errorf("%v, because %s; want %v with %q", b, why, c.want, c.text)
			}
		})
	}
}

// TestOpenNodes: each backend is opened at its own node.
func TestOpenNodes(t *testing.T) {
	var paths []string
	open := func(err error) func(c Config) (*Device, error) {
		return func(c Config) (*Device, error) {
			paths = append(paths, c.Path)
			return &Device{}, err
		}
	}
	missing := &nodeError{unix.ENOENT}
	r, _ := Config{}.route("")
	if _, err := (opener{open(missing), open(nil), nil}).open(Config{}, r); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(paths); got != "[/dev/net/mytun /dev/net/tun]" {
		t.Error(got)
	}
}

func TestOpenTunWithoutTun(t *testing.T) {
	_, err := Open(Config{Backend: BackendTun, Path: filepath.Join(t.TempDir(), "tun")})
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "modprobe tun") {
		t.Errorf("%v, want ENOENT and what to do", err)
	}
	before := countFDs(t)
	for _, c := range []Config{{}, {Backpressure: true}, {RxRing: 4096}, {TxRing: 128 << 20}} {
		c.Backend, c.Path = BackendTun, "/dev/null"
		_, err := Open(c)
		want := error(unix.ENOTTY)
		switch {
		case c.Backpressure:
			want = ErrNotSupported
		case c.RxRing != 0 || c.TxRing != 0:
			want = unix.EINVAL
		}
		if !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", c, err, want)
		}
	}
	if after := countFDs(t); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func TestTunHints(t *testing.T) {
	for errno, want := range map[error]string{
		unix.ENOENT: "modprobe tun", unix.ENODEV: "modprobe tun", unix.EACCES: "root", unix.EPERM: "--device /dev/net/tun",
	} {
		if got := tunHint(errno); !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q in it", errno, got, want)
		}
	}
	if got := tunHint(unix.EIO); got != "" {
		t.Errorf("a hint where none is of use: %q", got)
	}
}

func TestLinkDriver(t *testing.T) {
	for _, name := range []string{"no-such-device", "a-name-too-long-for-linux", ""} {
		if got := linkDriver(name); got != "" {
			t.Errorf("%q: %q, want none", name, got)
		}
	}
}

func TestUnfit(t *testing.T) {
	for _, c := range []struct {
		o    tunOpener
		kind byte
		want error
	}{
		{tunOpener{}, GSONone, nil},
		{tunOpener{}, GSOTCPv4 | GSOECN, nil},
		{tunOpener{}, GSOUDPL4, errSegmentation},
		{tunOpener{uso: true}, GSOUDPL4, nil},
		{tunOpener{uso: true}, GSOTCPv4 | GSOUDPTunnelIPv4, errSegmentation},
		{tunOpener{uso: true, tunnels: true}, GSOUDPL4 | GSOUDPTunnelIPv6, nil},
	} {
		if got := c.o.unfit(c.kind); got != c.want {
			t.Errorf("%+v, %#x: %v, want %v", c.o, c.kind, got, c.want)
		}
	}
	if !errors.Is(errSegmentation, errors.ErrUnsupported) || errors.Is(errSegmentation, ErrNotSupported) {
		t.Error("package gso would take it for a device without Config.Offload")
	}
}
