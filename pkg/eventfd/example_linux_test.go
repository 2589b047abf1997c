// SPDX-License-Identifier: MIT

package eventfd_test

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/mytun/mytun/pkg/eventfd"

	"golang.org/x/sys/unix"
)

// A goroutine waits for what others signal; Close ends the wait.
func Example() {
	e, err := eventfd.New()
	if err != nil {
		log.Fatal(err)
	}
	e.Signal()
	e.Add(2)
	n, err := e.Wait()
	fmt.Println(n, err)
	e.Close()
	_, err = e.Wait()
	fmt.Println(errors.Is(err, os.ErrClosed))
	// Output:
	// 3 <nil>
	// true
}

// An epoll set of one's own: with EPOLLET every signal raises an event, and nobody
// has to read the counter.
func ExampleEventFD_FD() {
	e, err := eventfd.New()
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Close(set)
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, e.FD(), &event); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		e.Signal()
		n, err := unix.EpollWait(set, make([]unix.EpollEvent, 1), -1)
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
}
