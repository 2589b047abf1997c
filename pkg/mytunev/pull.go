// SPDX-License-Identifier: MIT

package mytunev

import "context"

// ReadBatch waits for frames, calls h once with a batch of them, and returns what h
// does: Run for programs that have a loop of their own, and pull. As in Run the frames
// are lent until h returns, what h commits is sent then, and frames that h leaves are
// offered again; h is called without any if those that came made no sense. ReadBatch
// allocates nothing.
//
// Waiting ends with an error that wraps [os.ErrDeadlineExceeded] at the read deadline,
// and with ErrClosed, ErrDetached or ErrRingBroken when the queue is of no more use. A
// call of h under way is never interrupted; where h waits for room, it does until the
// write deadline. While another Handler of q runs, ReadBatch waits; called from within
// that Handler it does not, but fails. It stays on the thread that it was called on:
// Config.LockThreads and Config.CPUs are about Run.
func (q *Queue) ReadBatch(h Handler) error {
	if h == nil {
		return errNoFunction
	}
	for {
		idle, err := q.pull(h)
		if !idle {
			return err
		}
		if _, err := letGo(); err != nil {
			return err
		}
		if err := q.sleepForFrames(context.Background(), q.readDeadline); err != nil {
			return err
		}
	}
}

// pull calls h once, unless there are no frames.
func (q *Queue) pull(h Handler) (idle bool, err error) {
	if ready, err := q.beginFrames(lent, context.Background(), q.readDeadline); !ready {
		return err == nil, err
	}
	defer q.rxTurn.release()
	if q.pulled == nil || q.pulled.call.abandoned {
		q.pulled = newBatch(q, context.Background())
	}
	return false, q.callHandler(q.pulled, h)
}
