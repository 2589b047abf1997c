// SPDX-License-Identifier: MIT

package mytunev_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/mytun/mytun/pkg/mytunev"
)

// Two devices with a wire between them. Frames go from ring to ring with what is left to do to
// them: a super-packet stays one, and a checksum that nobody has computed is not.
func ExampleTx_SendFrame() {
	config := mytunev.Config{Offload: mytunev.AllOffloads}
	left, err := mytunev.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	defer left.Close()
	right, err := mytunev.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	defer right.Close()
	log.Print(wire(context.Background(), left, right))
}

// wire carries frames both ways until ctx is done or a device is gone.
func wire(ctx context.Context, left, right *mytunev.Device) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	for _, way := range [][2]*mytunev.Device{{left, right}, {right, left}} {
		go func() {
			defer cancel()
			ended <- way[0].Run(ctx, forwardTo(way[1].Queues()[0]))
		}()
	}
	return errors.Join(<-ended, <-ended)
}

// forwardTo sends what comes on another queue, all frames of a batch at the cost of one.
func forwardTo(out *mytunev.Queue) mytunev.Handler {
	return func(b *mytunev.Batch) error {
		return out.SendBatch(func(tx *mytunev.Tx) error {
			for f := range b.Frames() {
				if err := tx.SendFrame(f); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// A queue for each CPU, served by a thread that stays there. The kernel brings the frames of a
// flow through one queue: the one on which the program answers.
func ExampleConfig_queues() {
	dev, err := mytunev.Open(mytunev.Config{Queues: runtime.NumCPU(), CPUs: fmt.Sprintf("0-%d", runtime.NumCPU()-1)})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	log.Fatal(dev.Run(context.Background(), answer))
}

// One program for machines with the module and without: it says which of the two it runs on.
// MYTUN_BACKEND=tun in the environment shows how it does without.
func ExampleDevice_Backend() {
	dev, err := mytunev.Open(mytunev.Config{Name: "vpn0"})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	backend, why := dev.Backend()
	log.Printf("%s runs on %v: %s", dev.Name(), backend, why)
	log.Fatal(dev.Run(context.Background(), answer))
}

// A program that ends when it is told to, by Ctrl-C or because somebody deleted its interface. The
// Handler that runs just then is not interrupted, and what it has sent goes out.
func ExampleDevice_Run() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dev, err := mytunev.Open(mytunev.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	if err := serve(ctx, dev); err != nil {
		log.Print(err)
	}
}

// serve answers until ctx is done, which is no error, or the device is gone.
func serve(ctx context.Context, dev *mytunev.Device) error {
	err := dev.Run(ctx, answer)
	switch {
	case errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, mytunev.ErrDetached):
		return fmt.Errorf("somebody has deleted %s", dev.Name())
	}
	return err
}

// A program that has a loop of its own asks for frames instead of being called: here until none
// has come for a second.
func ExampleQueue_ReadBatch() {
	dev, err := mytunev.Open(mytunev.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	log.Print(answerUntilQuiet(dev.Queues()[0], time.Second))
}

func answerUntilQuiet(q *mytunev.Queue, patience time.Duration) error {
	for {
		q.SetReadDeadline(time.Now().Add(patience))
		switch err := q.ReadBatch(answer); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}
