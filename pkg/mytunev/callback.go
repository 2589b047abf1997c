// SPDX-License-Identifier: MIT

package mytunev

import (
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"
)

// The functions of the program that this package calls are Handlers and those given
// to SendBatch. Inside one the program may call whatever it likes, of any queue. So
// before a goroutine waits for anything, it gives up the rings that the functions
// on its own stack have taken: nobody waits while having what another waits for.
//
// Which functions these are, nothing but the stack can tell. Each has a number
// while it runs, and is called through one function for each of the number's
// digits. Only those who have to wait look, and only while such a function runs
// anywhere: to read a stack costs microseconds. They know the functions by their
// entries, whatever these are called, and none of them is inlined.

// A callback calls one function of the program at a time: a Handler with a Batch, or
// else a function with a Tx. These are handed down instead of being kept here, so
// that closures need not be in the heap.
type callback struct {
	path    uint32   // the number, in the digits that descend goes by
	running *running // of that number
	s       *sender  // of the function that is being called

	// abandoned is set while the function has not returned: also after a panic, or the end of the
	// goroutine. Deferred functions then run, for as long as they like, on top of the stack that
	// was left behind, which still has the number. So c is not to be used again. The same stack
	// keeps c from being freed, and the number from being another's, until it is gone.
	abandoned bool
}

// running tells that the function with a number runs. It matters to the goroutine alone that
// calls it, and has a cache line to itself, as that one writes to it for each batch.
type running struct {
	atomic.Bool
	_ [60]byte
}

const (
	digitBits = 3
	digitMask = 1<<digitBits - 1
)

// callbacks finds a callback by its number.
var callbacks struct {
	sync.Mutex
	byNumber []weak.Pointer[callback]
	running  []*running // by number
	unused   []uint32   // numbers
}

// manyCallbacks is how many numbers cost more to look at than a stack does.
const manyCallbacks = 64

// idleCallbacks holds those that call nothing now.
var idleCallbacks = sync.Pool{New: func() any { return newCallback() }}

func newCallback() *callback {
	c := &callback{}
	callbacks.Lock()
	defer callbacks.Unlock()
	var number uint32
	if last := len(callbacks.unused) - 1; last >= 0 {
		number = callbacks.unused[last]
		callbacks.unused = callbacks.unused[:last]
		callbacks.byNumber[number] = weak.Make(c)
	} else {
		number = uint32(len(callbacks.byNumber))
		callbacks.byNumber = append(callbacks.byNumber, weak.Make(c))
		callbacks.running = append(callbacks.running, &running{})
	}
	c.path, c.running = pathOf(number), callbacks.running[number]
	runtime.AddCleanup(c, forgetCallback, number)
	return c
}

func forgetCallback(number uint32) {
	callbacks.Lock()
	defer callbacks.Unlock()
	callbacks.unused = append(callbacks.unused, number)
}

// pathOf puts a 1 in front of the digits of a number, to mark their end.
func pathOf(number uint32) uint32 {
	end := uint32(1)
	for rest := number; rest != 0; rest >>= digitBits {
		end <<= digitBits
	}
	return end | number
}

// marks tells what a function on the stack says, by its entry.
var marks map[uintptr]mark

func init() {
	marks = map[uintptr]mark{entryOf((*callback).function): theFunction, entryOf((*callback).descend): aStep}
	for digit, f := range []func(*callback, uint32, Handler, *Batch, func(*Tx) error) error{
		(*callback).digit0, (*callback).digit1, (*callback).digit2, (*callback).digit3,
		(*callback).digit4, (*callback).digit5, (*callback).digit6, (*callback).digit7,
	} {
		marks[entryOf(f)] = mark(digit)
	}
}

// entryOf returns where a function begins.
func entryOf(f any) uintptr { return runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Entry() }

// A mark is a digit, or one of these.
type mark int

const (
	theFunction mark = iota + digitMask + 1 // calls the program
	aStep                                   // between digits
)

// call calls h with b, or else fn with the Tx of c.s.
func (c *callback) call(h Handler, b *Batch, fn func(*Tx) error) error {
	c.running.Store(true)
	defer c.running.Store(false)
	c.abandoned = true
	err := c.descend(c.path, h, b, fn)
	c.abandoned = false // and so c is on the stack until here
	return err
}

// descend puts the digits of rest on the stack, the lowest first, and calls the
// function.
//
//go:noinline
func (c *callback) descend(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	if rest == 1 {
		return c.function(h, b, fn)
	}
	digit, rest := rest&digitMask, rest>>digitBits
	switch digit {
	case 0:
		return c.digit0(rest, h, b, fn)
	case 1:
		return c.digit1(rest, h, b, fn)
	case 2:
		return c.digit2(rest, h, b, fn)
	case 3:
		return c.digit3(rest, h, b, fn)
	case 4:
		return c.digit4(rest, h, b, fn)
	case 5:
		return c.digit5(rest, h, b, fn)
	case 6:
		return c.digit6(rest, h, b, fn)
	}
	return c.digit7(rest, h, b, fn)
}

//go:noinline
func (c *callback) function(h Handler, b *Batch, fn func(*Tx) error) error {
	if h != nil {
		return h(b)
	}
	return fn(&c.s.tx)
}

//go:noinline
func (c *callback) digit0(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

//go:noinline
func (c *callback) digit1(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

//go:noinline
func (c *callback) digit2(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

//go:noinline
func (c *callback) digit3(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

//go:noinline
func (c *callback) digit4(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

//go:noinline
func (c *callback) digit5(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

//go:noinline
func (c *callback) digit6(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

//go:noinline
func (c *callback) digit7(rest uint32, h Handler, b *Batch, fn func(*Tx) error) error {
	return c.descend(rest, h, b, fn)
}

// stackNumbers reads the numbers of callbacks off a stack, innermost call first.
type stackNumbers struct {
	number uint32
	inside bool // between a function of the program and its highest digit
	found  []uint32
}

// add takes the entry of the next function.
func (n *stackNumbers) add(entry uintptr) {
	m, ours := marks[entry]
	switch {
	case ours && m == theFunction:
		n.number, n.inside = 0, true
	case !n.inside || ours && m == aStep:
	case ours:
		n.number = n.number<<digitBits | uint32(m)
	default:
		n.found = append(n.found, n.number)
		n.inside = false
	}
}

// ownCallbacks returns those that the calling goroutine is inside of.
func ownCallbacks() []*callback {
	if !mayBeInside() {
		return nil
	}
	var (
		pcs     [64]uintptr
		numbers stackNumbers
	)
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			if f := runtime.FuncForPC(pc - 1); f != nil {
				numbers.add(f.Entry())
			}
		}
		if n < len(pcs) {
			return findCallbacks(numbers.found)
		}
	}
}

// mayBeInside is false where no function of the program runs, so that the calling goroutine is
// inside of none.
func mayBeInside() bool {
	callbacks.Lock()
	defer callbacks.Unlock()
	if len(callbacks.running) > manyCallbacks {
		return true
	}
	return slices.ContainsFunc(callbacks.running, func(r *running) bool { return r.Load() })
}

// findCallbacks leaves out those that were abandoned.
func findCallbacks(numbers []uint32) (found []*callback) {
	if len(numbers) == 0 {
		return nil
	}
	callbacks.Lock()
	defer callbacks.Unlock()
	for _, number := range numbers {
		if c := callbacks.byNumber[number].Value(); c.running.Load() {
			found = append(found, c)
		}
	}
	return found
}

// letGo gives up the rings that functions on the calling goroutine's stack have
// taken, and shows what they committed. It reports whether there is such a
// function. It fails with errReserved, and gives up nothing, if one of them has a
// reservation open: what it is writing to cannot be given up.
func letGo() (inside bool, err error) {
	own := ownCallbacks()
	for _, c := range own {
		if c.s.held && c.s.q.tx.reserved != 0 {
			return true, errReserved
		}
	}
	for _, c := range own {
		// that another queue's device is gone is for who sends there next
		if e := c.s.finishTurn(); err == nil && e != ErrDetached {
			err = e
		}
	}
	return len(own) != 0, err
}
