// SPDX-License-Identifier: MIT

package mytunev

import "context"

func (s *sender) reserve(n int) ([]byte, error) {
	if !s.held {
		if err := s.takeTurn(); err != nil {
			return nil, err
		}
	}
	return s.q.tx.reserve(n)
}

func (s *sender) commit(n int, m *metadata) error {
	if s == nil || !s.held {
		return errNoReservation
	}
	if m != nil {
		if m.vnet != [vnetSize]byte{} && !s.q.port.vnet {
			s.q.tx.reserved = 0
			return ErrNotSupported
		}
		if s.q.port.unfit != nil {
			if err := s.q.port.unfit(m.vnet[vnetGSOType]); err != nil {
				s.q.tx.reserved = 0
				return err
			}
		}
		if !s.q.port.hash {
			m.flags, m.hash = 0, 0
		}
	}
	return s.q.tx.commit(n, m)
}

func (s *sender) send(p []byte, m *metadata) error {
	if s == nil {
		return errExpired
	}
	slot, err := s.reserve(len(p))
	if err == ErrFull {
		if err = s.waitSpace(len(p)); err == nil {
			slot, err = s.reserve(len(p))
		}
	}
	if err != nil {
		return err
	}
	return s.commit(copy(slot, p), m)
}

func (s *sender) waitSpace(n int) error {
	for {
		if !s.held {
			if err := s.takeTurn(); err != nil {
				return err
			}
		}
		tx := &s.q.tx
		tx.reserved = 0
		if err := tx.check(n); err != nil {
			return err
		}
		if ok, err := tx.fits(uint32(n)); ok || err != nil {
			return err
		}
		if err := s.pause(uint32(n)); err != nil {
			return err
		}
	}
}

// pause gives up the ring, and every other that this goroutine has, and sleeps
// until there may be room.
func (s *sender) pause(n uint32) error {
	if err := s.finishTurn(); err != nil {
		return err
	}
	if _, err := letGo(); err != nil {
		return err
	}
	q := s.q
	q.counters.spaceWaits.Add(1)
	if s.own && s.ctx.Done() != nil {
		defer context.AfterFunc(s.ctx, q.port.space.kick)()
	}
	return q.sleep(s.ctx, &q.spaceGate, q.writeDeadline, (*Queue).armTx, n)
}

// armTx asks for a signal when there is room.
func (q *Queue) armTx(ctx context.Context, d *deadline, n uint32) (bool, error) {
	if !q.txTurn.try(brief) {
		if err := q.txTurn.wait(brief, q, ctx, d); err != nil {
			return false, err
		}
	}
	defer q.txTurn.release()
	if err := q.usable(); err != nil {
		return false, err
	}
	return q.tx.arm(n)
}

// takeTurn takes the tx ring, which s has not.
func (s *sender) takeTurn() error {
	if !s.open {
		return errExpired
	}
	q := s.q
	if !q.open.Load() {
		return ErrClosed
	}
	if !q.txTurn.try(s.kind) {
		if err := s.waitTurn(); err != nil {
			return err
		}
	}
	if err := q.usable(); err != nil {
		q.txTurn.release()
		return err
	}
	s.held = true
	return nil
}

func (s *sender) waitTurn() error {
	q := s.q
	_, err := letGo()
	if err == errReserved {
		return q.txTurn.insist(s.kind, q, errReserved)
	}
	if err != nil {
		return err
	}
	return q.txTurn.wait(s.kind, q, s.ctx, q.writeDeadline)
}

// publish drops an open reservation, shows what was committed to the kernel, and
// reports whether that calls for a doorbell.
func (s *sender) publish() bool {
	s.q.tx.reserved = 0
	return s.q.tx.publish()
}

// endTurn publishes and gives up the ring, if s has it. It reports whether the
// doorbell is to be rung.
func (s *sender) endTurn() (ring bool) {
	if !s.held {
		return false
	}
	ring = s.publish()
	s.held = false
	s.q.txTurn.release()
	return ring
}

// finishTurn is endTurn with the doorbell.
func (s *sender) finishTurn() error {
	if !s.held {
		return nil
	}
	q := s.q
	ring := s.publish()
	s.held = false
	defer q.txTurn.release()
	if ring {
		return q.ring()
	}
	return q.lost()
}

// finish ends a sender that is not part of a Batch.
func (s *sender) finish() error {
	s.open = false
	return s.finishTurn()
}

// lost tells whether the device turned out to be gone when frames were written to it.
// Who has a kernel's ring learns that from the next call.
func (q *Queue) lost() error {
	if q.port.drain != nil && q.port.state.Load()&stateDetached != 0 {
		return ErrDetached
	}
	return nil
}
