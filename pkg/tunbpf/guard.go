// SPDX-License-Identifier: MIT

package tunbpf

import (
	"fmt"
	"os"
	"sync"
)

// errClosed is returned for what is closed, and for zero values.
var errClosed = fmt.Errorf("tunbpf: closed, or not made by its New function: %w", os.ErrClosed)

// A guard lets one goroutine at a time use what has to be closed, and none
// afterwards: the descriptor may be another file's by then.
type guard struct {
	mu   sync.Mutex
	open bool
}

// enter locks g, or fails with errClosed.
func (g *guard) enter() error {
	g.mu.Lock()
	if !g.open {
		g.mu.Unlock()
		return errClosed
	}
	return nil
}

func (g *guard) leave() { g.mu.Unlock() }
