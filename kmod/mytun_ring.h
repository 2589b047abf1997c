/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ring, one producer, one consumer, variable-length frames
 *
 * Each side keeps a struct mytun_ring of its own. Only four words and the data
 * are shared; all else is private, so nothing the peer writes can change what
 * this side knows of its own progress.
 *
 *   producer                               consumer
 *
 *   load-acquire consumer      (A)         load-acquire producer      (B')
 *   write frames                           read frames
 *   store-release producer     (B)         store-release consumer     (A')
 *   full barrier               (C)         full barrier               (D')
 *   load need_wakeup, signal               load need_space, signal
 *
 *   before it waits for room:              before it sleeps:
 *   store need_space                       store need_wakeup
 *   full barrier               (D)         full barrier               (C')
 *   load consumer, room? stay              load producer, frames? stay
 *
 * Without A-A' the producer overwrites a frame that is still being read.
 * Without B-B' the consumer reads a frame before it was written.
 * Without C-C' the consumer sleeps on a full ring: neither side saw the other.
 * Without D-D' the producer waits for room on an empty one, for the same reason.
 *
 * need_wakeup and need_space are event indices (as in virtio): "signal me when
 * you move past this". One that was passed stays silent until it is set anew,
 * so one sleep gets one signal, and nobody has to clear it.
 *
 * The header compiles in user space too (test/ring), to be run under the
 * sanitizers there. test/litmus has the barriers by these names.
 */
#ifndef _MYTUN_RING_H
#define _MYTUN_RING_H

#ifdef __KERNEL__
#include <asm/barrier.h>
#include <linux/align.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/types.h>
#else
#include "kernel_shim.h"
#endif
#include "uapi/linux/mytun.h"

/**
 * struct mytun_ring - one side's view of a ring
 * @data:            data area, mapped twice back to back
 * @size:            bytes of the data area, a power of two
 * @producer:        own index, or the peer's as last seen
 * @consumer:        own index, or the peer's as last seen
 * @posted:          own index as the peer can see it
 * @broken:          the peer's index made no sense; nothing moves any more
 * @shared_producer: written by the producer
 * @shared_consumer: written by the consumer
 * @need_wakeup:     written by the consumer
 * @need_space:      written by the producer
 *
 * A struct mytun_ring belongs to one thread of execution at a time.
 */
struct mytun_ring {
	unsigned char *data;
	u32 size;
	u32 producer;
	u32 consumer;
	u32 posted;
	bool broken;
	u32 *shared_producer;
	u32 *shared_consumer;
	u32 *need_wakeup;
	u32 *need_space;
};

/* Bytes that a frame with @length bytes of payload occupies */
static inline u32 mytun_ring_footprint(u32 length)
{
	return ALIGN((u32)sizeof(struct mytun_frame) + length,
		     MYTUN_FRAME_ALIGN);
}

/* Did an index that moved from @old to @new move past @event? */
static inline bool mytun_ring_passed(u32 event, u32 new, u32 old)
{
	return (u32)(new - event - 1) < (u32)(new - old);
}

static inline void *mytun_ring_at(const struct mytun_ring *ring, u32 index)
{
	return ring->data + (index & (ring->size - 1));
}

static inline u32 mytun_ring_used(const struct mytun_ring *ring)
{
	return ring->producer - ring->consumer;
}

static inline u32 mytun_ring_room(const struct mytun_ring *ring)
{
	return ring->size - mytun_ring_used(ring);
}

/* Producer: look where the consumer is; false if it is where it can't be */
static inline bool mytun_ring_refresh_consumer(struct mytun_ring *ring)
{
	u32 seen = smp_load_acquire(ring->shared_consumer); /* A */
	u32 moved = seen - ring->consumer;

	if (moved > mytun_ring_used(ring) || moved % MYTUN_FRAME_ALIGN) {
		ring->broken = true;
		return false;
	}
	ring->consumer = seen;
	return true;
}

/* Consumer: look where the producer is; false if it is where it can't be */
static inline bool mytun_ring_refresh_producer(struct mytun_ring *ring)
{
	u32 seen = smp_load_acquire(ring->shared_producer); /* B' */
	u32 moved = seen - ring->producer;

	if (moved > mytun_ring_room(ring) || moved % MYTUN_FRAME_ALIGN) {
		ring->broken = true;
		return false;
	}
	ring->producer = seen;
	return true;
}

/*
 * Producer: room for a frame with @length bytes of payload. NULL if there is
 * none now, or the ring is broken. The room is kept until mytun_ring_submit();
 * a second call before that returns the same place.
 */
static inline struct mytun_frame *mytun_ring_reserve(struct mytun_ring *ring,
						     u32 length)
{
	u32 footprint = mytun_ring_footprint(length);

	/* a larger @length would wrap the footprint around 2^32 */
	if (ring->broken || length > ring->size)
		return NULL;
	if (mytun_ring_room(ring) < footprint &&
	    (!mytun_ring_refresh_consumer(ring) ||
	     mytun_ring_room(ring) < footprint))
		return NULL;
	return mytun_ring_at(ring, ring->producer);
}

/* Producer: the reserved frame is complete. The peer sees it after a publish */
static inline void mytun_ring_submit(struct mytun_ring *ring, u32 length)
{
	ring->producer += mytun_ring_footprint(length);
}

/*
 * Producer: let the peer see all that was submitted. Who has posted owes a full
 * barrier (C), and then the question whether that is awaited.
 */
static inline void mytun_ring_post(struct mytun_ring *ring)
{
	smp_store_release(ring->shared_producer, ring->producer); /* B */
	ring->posted = ring->producer;
}

/*
 * Producer, behind the barrier: does the consumer sleep and want a signal for what
 * was posted from @old to @new? Others may have posted more since.
 */
static inline bool mytun_ring_is_awaited(const struct mytun_ring *ring, u32 old,
					 u32 new)
{
	return mytun_ring_passed(READ_ONCE(*ring->need_wakeup), new, old);
}

/* Producer: both at once. True if the consumer wants a signal */
static inline bool mytun_ring_publish(struct mytun_ring *ring)
{
	u32 old = ring->posted;

	if (old == ring->producer)
		return false;
	mytun_ring_post(ring);
	smp_mb(); /* C */
	return mytun_ring_is_awaited(ring, old, ring->producer);
}

/*
 * Producer, with everything up to @posted published: does a consumer sleep beside
 * frames, because it wants more than there are? Nothing signals it if no more
 * come.
 */
static inline bool mytun_ring_is_short(const struct mytun_ring *ring,
				       u32 posted)
{
	return (u32)(READ_ONCE(*ring->need_wakeup) - posted) < ring->size &&
	       READ_ONCE(*ring->shared_consumer) != posted;
}

/*
 * Producer, with everything published: ask for a signal when the ring is half
 * empty and has room for @length bytes. True if it has the room now, and no
 * signal may come.
 */
static inline bool mytun_ring_wait_space(struct mytun_ring *ring, u32 length)
{
	u32 wanted = max(ring->size / 2, mytun_ring_footprint(length));

	WRITE_ONCE(*ring->need_space,
		   ring->producer + wanted - ring->size - MYTUN_FRAME_ALIGN);
	smp_mb(); /* D */
	return !ring->broken && mytun_ring_refresh_consumer(ring) &&
	       mytun_ring_room(ring) >= wanted;
}

/*
 * Consumer: the next frame, NULL if there is none or the ring is broken. The
 * peer can change what it points to at any time: copy, then check the copy.
 */
static inline struct mytun_frame *mytun_ring_peek(struct mytun_ring *ring)
{
	if (ring->broken)
		return NULL;
	if (!mytun_ring_used(ring) &&
	    (!mytun_ring_refresh_producer(ring) || !mytun_ring_used(ring)))
		return NULL;
	return mytun_ring_at(ring, ring->consumer);
}

/*
 * Consumer: go past the frame that peek returned, which has @length bytes of
 * payload. False if so long a frame can't be there: the ring is broken.
 */
static inline bool mytun_ring_next(struct mytun_ring *ring, u32 length)
{
	/* a larger @length would wrap the footprint around 2^32 */
	if (ring->broken || length > ring->size ||
	    mytun_ring_footprint(length) > mytun_ring_used(ring)) {
		ring->broken = true;
		return false;
	}
	ring->consumer += mytun_ring_footprint(length);
	return true;
}

/*
 * Consumer: give the room of all frames gone past back to the producer. True
 * if it waits for room and wants a signal.
 */
static inline bool mytun_ring_release(struct mytun_ring *ring)
{
	u32 old = ring->posted;

	if (old == ring->consumer)
		return false;
	smp_store_release(ring->shared_consumer, ring->consumer); /* A' */
	ring->posted = ring->consumer;
	smp_mb(); /* D' */
	return mytun_ring_passed(READ_ONCE(*ring->need_space),
				 ring->consumer, old);
}

/*
 * Consumer: ask for a signal when there are frames past @seen. True if there
 * are now, and no signal may come.
 */
static inline bool mytun_ring_wait_frames(const struct mytun_ring *ring,
					  u32 seen)
{
	WRITE_ONCE(*ring->need_wakeup, seen);
	smp_mb(); /* C' */
	return READ_ONCE(*ring->shared_producer) != seen;
}

#endif /* _MYTUN_RING_H */
