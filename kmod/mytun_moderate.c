// SPDX-License-Identifier: GPL-2.0
/*
 * When the process is told of frames
 *
 * Waking it costs a hundred times what a frame costs. A doorbell that comes
 * alone is rung at once, so a lone frame waits for nothing. In a stream it is
 * held until there are more frames, or for a time, whichever comes first.
 *
 * How often doorbells are due does not tell a stream from questions that the
 * process answers one by one: on one CPU both can be a wake-up apart. But what
 * comes while a doorbell is held is no answer to anything. So when doorbells
 * were due in quick succession, one is held for a short time, to try. If that
 * brought frames at the rate of a stream, the next one is held twice as long;
 * if it did not, all are rung at once again, and it takes twice as many until
 * the next try.
 *
 * A process that sleeps until there is more than there is now is told by the
 * same timer.
 */

#include <linux/hrtimer.h>
#include <linux/sched/clock.h>

#include "mytun.h"

/*
 * No answer of the process calls forth the next frame so soon: that would take
 * two wake-ups. It is the time of a try, too.
 */
#define MYTUN_STREAM_NS		12000
/* What is due so soon after a doorbell may be part of a stream */
#define MYTUN_SOON_NS		50000
/* A stream has ended when nothing was due for so long: several slices of a CPU */
#define MYTUN_STREAM_END_NS	(10 * NSEC_PER_MSEC)
/* The frames of a stream are not further apart, on the average */
#define MYTUN_STREAM_GAP_NS	20000
/* So many doorbells in quick succession come before a try */
#define MYTUN_RX_SOON_MIN	4U
#define MYTUN_RX_SOON_MAX	256U

static u32 mytun_moderate_bound(const struct mytun_queue *queue)
{
	return READ_ONCE(queue->coalesce.hold_us) * (u32)NSEC_PER_USEC;
}

static void mytun_moderate_ring(struct mytun_queue *queue)
{
	lockdep_assert_held(&queue->rx_lock);
	queue->rx_rung_ns = local_clock();
	mytun_count(queue, MYTUN_RX_DOORBELLS, 1);
	mytun_doorbell_ring(&queue->rx_doorbell);
}

static void mytun_moderate_hold(struct mytun_queue *queue, u32 ns)
{
	lockdep_assert_held(&queue->rx_lock);
	queue->rx_held = true;
	hrtimer_start(&queue->rx_timer, ns_to_ktime(ns), HRTIMER_MODE_REL_SOFT);
}

/* Frames since the hold began, whoever put them into the ring */
static u32 mytun_moderate_held(struct mytun_queue *queue)
{
	u32 frames = mytun_counted(queue, MYTUN_RX_FRAMES);

	return frames - queue->rx_held_since;
}

/* Was it worth it? */
static void mytun_moderate_end_hold(struct mytun_queue *queue)
{
	u32 frames = mytun_moderate_held(queue);
	u64 span = (u64)frames * MYTUN_STREAM_GAP_NS;

	lockdep_assert_held(&queue->rx_lock);
	queue->rx_held = false;
	if (!queue->rx_window_ns)
		return;
	if (frames > 1 && span >= queue->rx_window_ns) {
		queue->rx_window_ns *= 2;
		queue->rx_soon_max = MYTUN_RX_SOON_MIN;
	} else {
		queue->rx_window_ns = 0;
		queue->rx_soon_max = min(queue->rx_soon_max * 2,
					 MYTUN_RX_SOON_MAX);
	}
}

/* Outside a stream: is it time to try whether this is one? */
static bool mytun_moderate_is_try(struct mytun_queue *queue, u64 since)
{
	if (since > MYTUN_SOON_NS) {
		queue->rx_soon = 0;
		return false;
	}
	if (since > MYTUN_STREAM_NS && ++queue->rx_soon < queue->rx_soon_max)
		return false;
	queue->rx_soon = 0;
	return true;
}

/* The time is over. Frames that the process found by itself need no doorbell */
void mytun_moderate_expire(struct mytun_queue *queue)
{
	lockdep_assert_held(&queue->rx_lock);
	if (!queue->rx_held)
		return;
	mytun_moderate_end_hold(queue);
	if (READ_ONCE(*queue->rx.shared_consumer) != queue->rx.posted)
		mytun_moderate_ring(queue);
}

/* A doorbell is due: how long is it to be held? 0 is not at all */
static u32 mytun_moderate_window(struct mytun_queue *queue)
{
	u64 since = local_clock() - queue->rx_rung_ns;

	if (since > MYTUN_STREAM_END_NS)
		queue->rx_window_ns = 0;
	if (!queue->rx_window_ns && mytun_moderate_is_try(queue, since))
		queue->rx_window_ns = MYTUN_STREAM_NS;
	queue->rx_window_ns = min(queue->rx_window_ns,
				  mytun_moderate_bound(queue));
	return queue->rx_window_ns;
}

/* Enough frames, or as many bytes as the ring should hold while nobody looks */
static bool mytun_moderate_is_enough(struct mytun_queue *queue)
{
	unsigned int frames = READ_ONCE(queue->coalesce.hold_frames);
	u32 most = queue->rx.size / 2;

	/* 0 is no bound, as for other devices */
	if (frames && mytun_moderate_held(queue) >= frames)
		return true;
	return mytun_ring_used(&queue->rx) > most &&
	       mytun_ring_refresh_consumer(&queue->rx) &&
	       mytun_ring_used(&queue->rx) > most;
}

/*
 * After frames were posted, behind the barrier. @wanted: the process sleeps, and
 * there is now what it sleeps for. @first: how many had been put into the ring
 * before. Since the post others may have put more there, and told nobody.
 */
void mytun_moderate(struct mytun_queue *queue, bool wanted, u32 first)
{
	u32 window = wanted ? mytun_moderate_window(queue) : 0;

	lockdep_assert_held(&queue->rx_lock);
	if (!queue->rx_held)
		queue->rx_held_since = first;

	if ((wanted && !window) ||
	    ((wanted || queue->rx_held) && mytun_moderate_is_enough(queue))) {
		mytun_moderate_end_hold(queue);
		/* who posted took it for one that is not told of */
		mytun_count(queue, MYTUN_RX_DOORBELLS_SUPPRESSED, -1);
		mytun_moderate_ring(queue);
		return;
	}
	if (queue->rx_held)
		return;
	if (wanted)
		mytun_moderate_hold(queue, window);
	else if (mytun_ring_is_short(&queue->rx, queue->rx.posted))
		mytun_moderate_hold(queue, mytun_moderate_bound(queue));
}

void mytun_moderate_setup(struct mytun_queue *queue)
{
	queue->rx_soon_max = MYTUN_RX_SOON_MIN;
}

/* Nobody publishes any more. What was held need not be told: the state changes */
void mytun_moderate_stop(struct mytun_queue *queue)
{
	hrtimer_cancel(&queue->rx_timer);
}
