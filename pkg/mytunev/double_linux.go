// SPDX-License-Identifier: MIT

package mytunev

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mytun/mytun/internal/double"

	"golang.org/x/sys/unix"
)

func init() {
	double.Open = func(config any, k double.Kernel) (*double.Device, error) { return openDouble(config.(Config), k) }
}

// openDouble makes a device as openTun does, but with k in place of stock tun.
func openDouble(c Config, k double.Kernel) (*double.Device, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	name := strings.Replace(c.tunName(), "%d", "0", 1)
	if len(name) >= unix.IFNAMSIZ {
		return nil, opError("attach to", name, unix.EINVAL, nameHint)
	}
	if err := c.checkTunRings(name); err != nil {
		return nil, err
	}
	link := &doubleLink{state: Link{Name: name, MTU: 1500, Up: true}, changed: make(chan struct{})}
	var ports []port
	for i := range c.Queues {
		p, err := link.openQueue(c, i, k)
		if err != nil {
			closeAll(closersOf(ports))
			return nil, opError("make the rings of", name, err, memoryHint(err))
		}
		ports = append(ports, p)
	}
	link.ports = ports
	d := newDevice(name, c.Mode, ports)
	d.setLoops(c)
	d.backend, d.why = BackendMytun, "package mytuntest plays the kernel"
	if c.Backend == BackendTun {
		d.backend = BackendTun
	}
	return &double.Device{Value: d, Wake: func(queue int) { ports[queue].frames.kick() },
		Delete: link.delete, Change: func(change func(state any)) { link.change(func(state *Link) { change(state) }) }}, nil
}

func closersOf(ports []port) (closers []func() error) {
	for _, p := range ports {
		closers = append(closers, p.close)
	}
	return closers
}

// A doubleLink is a network device that is none.
type doubleLink struct {
	mu      sync.Mutex
	state   Link
	changed chan struct{} // closed at the next change
	gone    atomic.Bool
	ports   []port
}

// change changes the state, and tells those who watch.
func (l *doubleLink) change(change func(state *Link)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
	l.state.Index = 0
	close(l.changed)
	l.changed = make(chan struct{})
}

// look returns the state, and what is closed when it changes.
func (l *doubleLink) look() (Link, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed
}

// openQueue makes a queue's rings, and the other side of them.
func (l *doubleLink) openQueue(c Config, index int, k double.Kernel) (port, error) {
	q := &tunQueue{tap: c.Mode == TAP, state: new(atomic.Uint32)}
	if c.Offload != 0 {
		q.header = tunHeader
	}
	q.readFD = func(_ int, p []byte) (int, error) { return l.read(q, index, k, p) }
	q.writeFD = func(_ int, p []byte) (int, error) { return l.write(q, index, k, p) }
	s := &setup{}
	if err := s.makeTunRings(q, c); err != nil {
		s.close()
		return port{}, err
	}
	file := &doubleFile{link: l, q: q}
	s.add(file.close)
	p := q.port(file)
	p.frames, p.space = newIdleSleeper(), newIdleSleeper()
	p.close = sync.OnceValue(s.close)
	return p, nil
}

// read is tunQueue.readFD: the next frame, behind what it would be behind with stock tun.
func (l *doubleLink) read(q *tunQueue, index int, k double.Kernel, p []byte) (int, error) {
	if l.gone.Load() {
		return 0, unix.EBADFD
	}
	payload, vnet, ok := k.Next(index)
	if !ok {
		return 0, unix.EAGAIN
	}
	if q.header != 0 {
		var v [vnetSize]byte
		encodeVNet(&v, vnet.(VNetHeader))
		h := toTunHeader(&v)
		copy(p, h[:])
	}
	return int(q.header) + copy(p[q.header:], payload), nil
}

// write is tunQueue.writeFD.
func (l *doubleLink) write(q *tunQueue, index int, k double.Kernel, p []byte) (int, error) {
	if l.gone.Load() {
		return 0, unix.EBADFD
	}
	var vnet VNetHeader
	if q.header != 0 {
		v := fromTunHeader((*[tunHeader]byte)(p))
		vnet = decodeVNet(&v)
	}
	k.Take(index, p[q.header:], vnet)
	return len(p), nil
}

// delete makes all queues find out that the device is gone.
func (l *doubleLink) delete() {
	l.gone.Store(true)
	for _, p := range l.ports {
		p.state.Or(stateDetached)
		p.frames.kick()
	}
	l.change(func(*Link) {})
}

// A doubleFile is the file behind a queue that has none.
type doubleFile struct {
	link   *doubleLink
	q      *tunQueue
	closed atomic.Bool
}

// usable tells what a file would say of its device.
func (f *doubleFile) usable() error {
	switch {
	case f.closed.Load():
		return ErrClosed
	case f.link.gone.Load():
		return ErrDetached
	}
	return nil
}

func (f *doubleFile) stats() (KernelStats, error) {
	if f.closed.Load() {
		return KernelStats{}, ErrClosed
	}
	return f.q.counters.snapshot(), nil
}

func (f *doubleFile) mtu() (int, error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	state, _ := f.link.look()
	return state.MTU, nil
}

func (f *doubleFile) deviceName() (string, error) {
	if err := f.usable(); err != nil {
		return "", err
	}
	state, _ := f.link.look()
	return state.Name, nil
}

func (f *doubleFile) watchLink() (linkWatch, error) {
	return &doubleWatch{file: f, ended: make(chan struct{})}, f.usable()
}

// A doubleWatch is a linkWatch of a device that is none.
type doubleWatch struct {
	file    *doubleFile
	changed <-chan struct{} // nil before the first look
	ended   chan struct{}
	once    sync.Once
}

func (w *doubleWatch) next() (state Link, err error) {
	if w.changed != nil {
		select {
		case <-w.changed:
		case <-w.ended:
			return Link{}, ErrClosed
		}
	}
	state, w.changed = w.file.link.look()
	return state, w.file.usable()
}

func (w *doubleWatch) cancel() { w.once.Do(func() { close(w.ended) }) }

func (w *doubleWatch) close() {}

func (f *doubleFile) setMTU(mtu int) error {
	if err := f.usable(); err != nil {
		return err
	}
	if mtu < mtuMin || mtu > mtuMax {
		state, _ := f.link.look()
		return opError("set MTU of", state.Name, unix.EINVAL, mtuHint(unix.EINVAL))
	}
	f.link.change(func(state *Link) { state.MTU = mtu })
	return nil
}

// setOffload does nothing: the frames are those that the test sends.
func (f *doubleFile) setOffload(Offload) error { return f.usable() }

// index is that of no interface.
func (f *doubleFile) index() (int, error) { return 0, f.usable() }

// control has no descriptor to call a function with.
func (f *doubleFile) control(func(fd uintptr)) error {
	if err := f.usable(); err != nil {
		return err
	}
	return ErrNotSupported
}

func (f *doubleFile) close() error {
	f.closed.Store(true)
	return nil
}
