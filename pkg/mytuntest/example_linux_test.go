// SPDX-License-Identifier: MIT

package mytuntest_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/mytun/mytun/pkg/mytunev"
	"github.com/mytun/mytun/pkg/mytuntest"
)

// shout is the Handler to be tested.
func shout(b *mytunev.Batch) error {
	for f := range b.Frames() {
		if err := b.Send(bytes.ToUpper(f.Data)); err != nil {
			return err
		}
	}
	return nil
}

func ExampleNew() {
	dev, kernel, err := mytuntest.New(mytunev.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dev.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go dev.Run(ctx, shout)

	kernel.Send(0, []byte("hello"))
	answer, err := kernel.Receive(ctx)
	fmt.Printf("%s %v\n", answer.Data, err)
	// Output: HELLO <nil>
}
