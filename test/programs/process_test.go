// SPDX-License-Identifier: MIT

//go:build mytun_device

package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mytun/mytun/test/device"
)

// need skips the test where a program is not installed, which the virtual
// machine's never are.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
}

// atNode is a command that finds node where programs look for tun's: in a mount
// namespace of its own it is bound over /dev/net/tun. The network namespace is
// the caller's, and so is its sysfs.
func atNode(node string, words ...string) []string {
	const script = `mount --bind "$0" ` + device.StockNode + ` && mount -t sysfs sysfs /sys && exec "$@"`
	return append([]string{"unshare", "--mount", "sh", "-c", script, node}, words...)
}

// command is a program with its arguments.
func command(words ...string) *exec.Cmd { return exec.Command(words[0], words[1:]...) }

// run runs a command to its end in the thread's network namespace, and returns what it
// said.
func run(t *testing.T, words ...string) string {
	t.Helper()
	out, err := command(words...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// A process is a program that runs until it is told to end.
type process struct {
	*exec.Cmd
	said  string        // the file with its output
	ended chan struct{} // closed when it has
}

// start starts a program in the thread's network namespace. It is killed at the end
// of the test; if that has failed, what the program said is shown. Call it on a
// locked thread.
func start(t *testing.T, words ...string) *process {
	t.Helper()
	said, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	p := &process{command(words...), said.Name(), make(chan struct{})}
	p.Stdout, p.Stderr = said, said
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// some end when their console is closed
	if _, err := p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(words, " "), p.output(t))
		}
	})
	return p
}

func (p *process) output(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.said)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitFor waits for a state that the process brings about, if it lives.
func (p *process) waitFor(t *testing.T, what string, state func() bool) {
	t.Helper()
	device.WaitFor(t, what, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended (%v) before there was %s", p.Path, p.ProcessState, what)
		default:
		}
		return state()
	})
}

// end sends a signal and waits until the process has ended.
func (p *process) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(signal); err != nil {
		t.Fatalf("%v to %s: %v", signal, p.Path, err)
	}
	device.WaitFor(t, p.Path+" to end of "+signal.String(), func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
}
