// SPDX-License-Identifier: MIT

//go:build mytun_device

package wireguard_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mytun/mytun/adapter/wireguard"
	"github.com/mytun/mytun/test/device"

	"golang.org/x/sys/unix"
	wg "golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
)

// attachedFile opens a file of the backend under test, for the device with that name.
func attachedFile(t *testing.T, name string, flags uint16) *os.File {
	t.Helper()
	node := "/dev/net/" + os.Getenv(device.BackendVariable)
	fd, err := unix.Open(node, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", node, err)
	}
	f := os.NewFile(uintptr(fd), node)
	t.Cleanup(func() { f.Close() })
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Fatalf("attach a file of %s to %s: %v", node, name, err)
	}
	return f
}

// TestModuleFromFile: a tunnel by a file that somebody else has opened, whose device knows super-packets or does not.
func TestModuleFromFile(t *testing.T) {
	for name, flags := range map[string]uint16{"packets": 0, "super-packets": unix.IFF_VNET_HDR} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T) {
				a, b := newEnds(t)
				a.startWith(t, func() (tun.Device, error) {
					f := attachedFile(t, tunnel, flags)
					d, err := wireguard.CreateTUNFromFile(f, wg.DefaultMTU)
					if e := f.Close(); err == nil && !errors.Is(e, os.ErrClosed) {
						t.Errorf("the file was not closed: %v", e)
					}
					return d, err
				})
				b.startGo(t)
				device.Enter(t, a.ns)
				if mtu := device.LinkOf(t, tunnel).Attrs().MTU; mtu != wg.DefaultMTU {
					t.Errorf("MTU %d, want %d", mtu, wg.DefaultMTU)
				}
				if on, want := device.FeaturesOf(t, tunnel)["tx-tcp-segmentation"], flags&unix.IFF_VNET_HDR != 0; on != want {
					t.Errorf("super-packets come from the kernel: %v, want %v", on, want)
				}
				device.Ping(t, b.inner4, 56)
				device.Datagrams(t, b.ns, b.inner6, 1, 1000, 5000)
				device.Streams(t, b.ns, b.inner4, streamSize/8)
				a.check(t)
			})
		})
	}
}

// TestModuleCommandInherits: mytun-wireguard takes an interface and a socket that were opened for it, in the foreground, and
// in the background, to where they are handed on.
func TestModuleCommandInherits(t *testing.T) {
	const name, argument = "wgi0", "other%d" // the file says what the interface is called
	onBoth(t, func(t *testing.T) {
		for _, c := range []struct {
			way  string
			args []string
			end  func(t *testing.T, process *os.Process)
		}{
			{"foreground", []string{"-f", argument}, func(t *testing.T, process *os.Process) { process.Signal(syscall.SIGTERM) }},
			{"background", []string{argument}, func(t *testing.T, _ *os.Process) { device.Delete(t, name) }},
		} {
			t.Run(c.way, func(t *testing.T) {
				command := inheriting(t, name, c.args...)
				if err := command.Start(); err != nil {
					t.Fatal(err)
				}
				closeAll(command.ExtraFiles)
				if c.way == "background" {
					if err := command.Wait(); err != nil { // as soon as it is ready there
						t.Fatal(err)
					}
				}
				if answer := configured(t, name); !strings.HasSuffix(answer, "errno=0\n\n") {
					t.Errorf("the socket answers %q", answer)
				}
				if mtu := device.LinkOf(t, name).Attrs().MTU; mtu != wg.DefaultMTU {
					t.Errorf("MTU %d, want %d", mtu, wg.DefaultMTU)
				}
				c.end(t, command.Process)
				if c.way == "foreground" {
					if err := command.Wait(); err != nil {
						t.Error(err)
					}
				}
				device.WaitGone(t, name)
				device.WaitFor(t, "the socket to go", func() bool {
					_, err := os.Stat(socketOf(name))
					return errors.Is(err, os.ErrNotExist)
				})
			})
		}
	})
}

// inheriting is mytun-wireguard with a file of an interface and a socket, as its numbers 3 and 4.
func inheriting(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	socket, err := ipc.UAPIOpen(name)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(filepath.Join(filepath.Dir(own), "mytun-wireguard"), args...)
	command.ExtraFiles = []*os.File{attachedFile(t, name, unix.IFF_VNET_HDR), socket}
	command.Env = append(command.Environ(), "WG_TUN_FD=3", "WG_UAPI_FD=4")
	command.Stderr = os.Stderr
	return command
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func socketOf(name string) string { return fmt.Sprintf("/var/run/wireguard/%s.sock", name) }

// configured is what the interface's socket says of its configuration: the kernel keeps who connects before anybody listens to it.
func configured(t *testing.T, name string) string {
	t.Helper()
	connection, err := net.Dial("unix", socketOf(name))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(device.Deadline))
	if _, err := io.WriteString(connection, "get=1\n\n"); err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Error(err)
	}
	return string(answer)
}
