// SPDX-License-Identifier: GPL-2.0
/*
 * When the process is told of frames
 *
 * Waking it costs a hundred times what a frame costs. A doorbell that is due
 * soon after another is part of a stream: then it is held until there are more
 * frames, or for a time, whichever comes first. One that comes alone is rung at
 * once, so a lone frame waits for nothing. A process that sleeps until there is
 * more than there is now is told by the same timer.
 */

#include <linux/hrtimer.h>
#include <linux/sched/clock.h>

#include "mytun.h"

/*
 * No answer of the process calls forth the next frame so soon: that would take
 * two wake-ups
 */
#define MYTUN_STREAM_NS	12000

/* Under rx_lock */
static void mytun_moderate_ring(struct mytun_queue *queue)
{
	queue->rx_held = false;
	queue->rx_rung_ns = local_clock();
	mytun_count(queue, MYTUN_RX_DOORBELLS, 1);
	mytun_doorbell_ring(&queue->rx_doorbell);
}

/* In softirq context. Frames that the process found by itself need no doorbell */
static enum hrtimer_restart mytun_moderate_timer(struct hrtimer *timer)
{
	struct mytun_queue *queue =
		container_of(timer, struct mytun_queue, rx_timer);

	spin_lock(&queue->rx_lock);
	if (queue->rx_held &&
	    READ_ONCE(*queue->rx.shared_consumer) != queue->rx.posted)
		mytun_moderate_ring(queue);
	queue->rx_held = false;
	spin_unlock(&queue->rx_lock);
	return HRTIMER_NORESTART;
}

static void mytun_moderate_hold(struct mytun_queue *queue)
{
	u64 ns = (u64)READ_ONCE(queue->coalesce.hold_us) * NSEC_PER_USEC;

	queue->rx_held = true;
	hrtimer_start(&queue->rx_timer, ns_to_ktime(ns), HRTIMER_MODE_REL_SOFT);
}

static bool mytun_moderate_is_stream(const struct mytun_queue *queue)
{
	return READ_ONCE(queue->coalesce.hold_us) &&
	       local_clock() - queue->rx_rung_ns < MYTUN_STREAM_NS;
}

/* Enough frames, or as many bytes as the ring should hold while nobody looks */
static bool mytun_moderate_is_enough(struct mytun_queue *queue)
{
	unsigned int frames = READ_ONCE(queue->coalesce.hold_frames);
	u32 most = queue->rx.size / 2;

	/* 0 is no bound, as for other devices */
	if (frames && queue->rx_held_frames >= frames)
		return true;
	return mytun_ring_used(&queue->rx) > most &&
	       mytun_ring_refresh_consumer(&queue->rx) &&
	       mytun_ring_used(&queue->rx) > most;
}

/*
 * Under rx_lock, after @frames were published. @wanted: the process sleeps, and
 * there is now what it sleeps for.
 */
void mytun_moderate(struct mytun_queue *queue, bool wanted, unsigned int frames)
{
	if (!queue->rx_held)
		queue->rx_held_frames = 0;
	queue->rx_held_frames += frames;

	if ((wanted && !mytun_moderate_is_stream(queue)) ||
	    ((wanted || queue->rx_held) && mytun_moderate_is_enough(queue))) {
		mytun_moderate_ring(queue);
		return;
	}
	mytun_count(queue, MYTUN_RX_DOORBELLS_SUPPRESSED, 1);
	if (!queue->rx_held && (wanted || mytun_ring_is_short(&queue->rx)))
		mytun_moderate_hold(queue);
}

void mytun_moderate_setup(struct mytun_queue *queue)
{
	mytun_setup_hrtimer(&queue->rx_timer, mytun_moderate_timer);
}

/* Nobody publishes any more. What was held need not be told: the state changes */
void mytun_moderate_stop(struct mytun_queue *queue)
{
	hrtimer_cancel(&queue->rx_timer);
}
