// SPDX-License-Identifier: MIT

//go:build linux

package workload

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// HelperWord as the first argument makes this program one of its own helpers: see Help.
const HelperWord = "-helper"

// A helper is a process of its own at an end of the wire, so that what it uses is not the contestant's. It does what it is told, a line
// each, and answers with a line: "ok" or what went wrong.
type helper struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

// startHelper starts this program as the helper of that kind inside a namespace, and waits until it is ready.
func startHelper(n *namespace, args ...string) (*helper, error) {
	h := &helper{command: exec.Command("/proc/self/exe", append([]string{HelperWord}, args...)...)}
	h.command.Stderr = os.Stderr
	in, err := h.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := h.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.in, h.out = in, bufio.NewScanner(out)
	if err := n.do(h.command.Start); err != nil {
		return nil, fmt.Errorf("start helper %s: %w", args[0], err)
	}
	if err := h.answer(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// ask tells the helper to do something and waits until it is done.
func (h *helper) ask(words ...string) error {
	if _, err := fmt.Fprintln(h.in, strings.Join(words, " ")); err != nil {
		return fmt.Errorf("helper %v: %w", h.command.Args[2:], err)
	}
	return h.answer()
}

func (h *helper) answer() error {
	if !h.out.Scan() {
		return fmt.Errorf("helper %v ended: %v", h.command.Args[2:], h.out.Err())
	}
	if h.out.Text() != "ok" {
		return fmt.Errorf("helper %v: %s", h.command.Args[2:], h.out.Text())
	}
	return nil
}

// close ends the helper: it does so when its input ends.
func (h *helper) close() error {
	return errors.Join(h.in.Close(), h.command.Wait())
}

// Help is what a helper does: it serves standard input until that ends.
func Help(args []string) error {
	if len(args) == 0 {
		return errors.New("a helper needs a kind")
	}
	start, found := helpers[args[0]]
	if !found {
		return fmt.Errorf("there is no helper %q", args[0])
	}
	act, err := start(args[1:])
	report(err)
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		report(act(lines.Text()))
	}
	return nil
}

// helpers start the kinds of helper, and return what a command makes them do.
var helpers = map[string]func(args []string) (act func(command string) error, err error){
	"udp-send": startUDPSend,
}

func report(err error) {
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Println("ok")
}
