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
	"strconv"
	"strings"
)

// HelperWord as the first argument makes this program one of its own helpers: see Help.
const HelperWord = "-helper"

// A helper is a process of its own at an end of the wire, so that what it uses is not the contestant's. It does what it is told, a line
// each, and answers with a line: "ok" and a word or nothing, or what went wrong.
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
	if _, err := h.answer(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// ask tells the helper to do something, waits until it is done, and returns what it said.
func (h *helper) ask(words ...string) (string, error) {
	if _, err := fmt.Fprintln(h.in, strings.Join(words, " ")); err != nil {
		return "", fmt.Errorf("helper %v: %w", h.command.Args[2:], err)
	}
	return h.answer()
}

// count asks for a number.
func (h *helper) count(words ...string) (int, error) {
	text, err := h.ask(words...)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

func (h *helper) answer() (string, error) {
	if !h.out.Scan() {
		return "", fmt.Errorf("helper %v ended: %v", h.command.Args[2:], h.out.Err())
	}
	text, fine := strings.CutPrefix(h.out.Text(), "ok ")
	if !fine {
		return "", fmt.Errorf("helper %v: %s", h.command.Args[2:], h.out.Text())
	}
	return text, nil
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
	report("", err)
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		report(act(strings.Fields(lines.Text())))
	}
	return nil
}

// An act is what a helper does when it is told to.
type act func(command []string) (string, error)

// helpers start the kinds of helper.
var helpers = map[string]func(args []string) (act, error){
	"udp-send": startUDPSend,
	"tcp-sink": startTCPSink,
	"tcp-send": startTCPSend,
	"vpn-end":  startVPNEnd,
}

func report(text string, err error) {
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Printf("ok %s\n", text)
}
