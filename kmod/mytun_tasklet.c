// SPDX-License-Identifier: GPL-2.0
/*
 * Process to kernel
 *
 * One tasklet a queue takes frames out of the tx ring and gives them to the
 * stack, in softirq context. A run is bounded; what is left waits for the next
 * run, which the kthread schedules, so that other softirqs and tasks get their
 * turn.
 *
 * The queue's kthread, a doorbell and a write() of nothing schedule it. The
 * kthread hands over everything up to the producer index it saw; the tasklet goes
 * on until it finds the ring empty, and asks for a doorbell itself if the kthread
 * does not watch. Who asks looks at the ring once more afterwards, so a frame is
 * either seen by one of the two or announced.
 *
 * All that is specific to tasklets is in this file.
 */

#include <linux/delay.h>
#include <linux/sched/clock.h>

#include "mytun.h"

/* Bounds of a run, as vhost has them */
#define MYTUN_TX_FRAMES_PER_RUN	256
#define MYTUN_TX_BYTES_PER_RUN	(512U << 10)
/*
 * Frames between two releases: room for the process before the stack ran. Where
 * the allocator has to serve, more in flight than a slab holds would make each
 * allocation a slow one.
 */
#define MYTUN_TX_BATCH		16

/* Bits of queue->tx_calls: a run goes on; there was a call since it began */
#define MYTUN_TX_RUNS		1
#define MYTUN_TX_CALLED		2

/* Between two looks at what goes on elsewhere */
#define MYTUN_PAUSE_MIN_US	20
#define MYTUN_PAUSE_MAX_US	50
/* Many times as long as a run takes */
#define MYTUN_DRAIN_PAUSES	5000

/*
 * @taken, @bytes and @segments count what left the ring since the run began, good
 * or bad; @good_bytes what @skbs carry. @gro: the run has claimed the queue's GRO
 */
struct mytun_tx_run {
	struct sk_buff_head skbs;
	unsigned int taken;
	unsigned int bytes;
	unsigned int segments;
	unsigned int good_bytes;
	bool gro;
};

/*
 * The process can write the header while we read it: every word is read once,
 * into a copy that it can't reach.
 */
static void mytun_tx_copy_header(struct mytun_frame *copy,
				 const struct mytun_frame *shared)
{
	const u64 *from = (const u64 *)shared;
	u64 *to = (u64 *)copy;
	unsigned int i;

	BUILD_BUG_ON(sizeof(*copy) % sizeof(*to));
	for (i = 0; i < sizeof(*copy) / sizeof(*to); i++)
		to[i] = READ_ONCE(from[i]);
}

/* One frame out of the ring, good or bad. False: none, or the ring is broken */
static bool mytun_tx_take(struct mytun_queue *queue, struct mytun_tx_run *run)
{
	struct mytun_frame header __aligned(8);
	struct mytun_frame *shared;
	struct sk_buff *skb;

	shared = mytun_ring_peek(&queue->tx);
	if (!shared)
		return false;
	mytun_tx_copy_header(&header, shared);
	if (!mytun_ring_next(&queue->tx, header.length))
		return false;

	run->taken++;
	run->bytes += header.length;
	run->segments += mytun_vnet_segments(&header);
	skb = mytun_frame_receive(queue, &queue->xdp, &header, shared + 1);
	if (skb) {
		__skb_queue_tail(&run->skbs, skb);
		run->good_bytes += header.length;
	}
	return true;
}

static bool mytun_tx_may_take(const struct mytun_tx_run *run)
{
	return run->taken < MYTUN_TX_FRAMES_PER_RUN &&
	       run->bytes < MYTUN_TX_BYTES_PER_RUN &&
	       run->segments < MYTUN_SEGMENTS_PER_RUN;
}

static void mytun_tx_release(struct mytun_queue *queue)
{
	if (mytun_ring_release(&queue->tx)) {
		mytun_count(queue, MYTUN_TX_SPACE_SIGNALS, 1);
		mytun_doorbell_ring(&queue->tx_space);
	} else {
		mytun_count(queue, MYTUN_TX_SPACE_SUPPRESSED, 1);
	}
	mytun_wake_room(queue);
}

static void mytun_tx_count(struct mytun_queue *queue, unsigned int frames,
			   unsigned int bytes)
{
	struct pcpu_sw_netstats *tstats =
		this_cpu_ptr(queue->device->dev->tstats);

	u64_stats_update_begin(&tstats->syncp);
	u64_stats_add(&tstats->rx_packets, frames);
	u64_stats_add(&tstats->rx_bytes, bytes);
	u64_stats_update_end(&tstats->syncp);
	mytun_count(queue, MYTUN_TX_FRAMES, frames);
	mytun_count(queue, MYTUN_TX_BYTES, bytes);
}

/* Counted first: who has received a frame can read that it was */
static void mytun_tx_deliver(struct mytun_queue *queue,
			     struct mytun_tx_run *run)
{
	if (skb_queue_empty(&run->skbs))
		return;
	mytun_tx_count(queue, skb_queue_len(&run->skbs), run->good_bytes);
	run->good_bytes = 0;
	mytun_deliver(queue, queue->device, &run->skbs, &run->gro);
}

/* False when the ring is empty, broken, or the queue is being stopped */
static bool mytun_tx_batch(struct mytun_queue *queue, struct mytun_tx_run *run)
{
	unsigned int end = run->taken + MYTUN_TX_BATCH;
	bool more = true;

	while (run->taken < end && more)
		more = mytun_tx_may_take(run) && mytun_tx_take(queue, run);
	mytun_tx_release(queue);
	mytun_tx_deliver(queue, run);
	return more && !READ_ONCE(queue->stopping);
}

/* The run is over: is there more to do, or may the process have to ring? */
static bool mytun_tx_goes_on(struct mytun_queue *queue,
			     const struct mytun_tx_run *run)
{
	if (!mytun_tx_may_take(run))
		return true;
	WRITE_ONCE(queue->tx_empty_ns, local_clock());
	return !READ_ONCE(queue->tx_watched) &&
	       mytun_ring_wait_frames(&queue->tx, queue->tx.consumer);
}

/*
 * What is left goes on in the kthread's time, of which the scheduler gives it
 * its share: a tasklet that scheduled itself would run in whatever task the
 * next interrupt meets.
 */
static void mytun_tx_hand_over(struct mytun_queue *queue)
{
	WRITE_ONCE(queue->tx_more, true);
	wake_up_process(queue->kthread);
}

/* A run, of a queue that is not being stopped. True if there is more to do */
static bool mytun_tx_run(struct mytun_queue *queue)
{
	struct mytun_tx_run run = {};

	__skb_queue_head_init(&run.skbs);
	mytun_xdp_begin(&queue->xdp, &queue->bpf_context, queue->device);
	while (mytun_tx_batch(queue, &run))
		;
	mytun_xdp_end(&queue->xdp, &queue->bpf_context);
	mytun_deliver_end(queue, run.gro);
	if (queue->tx.broken) {
		mytun_state_set(queue, MYTUN_STATE_TX_BROKEN);
		return false;
	}
	return mytun_tx_goes_on(queue, &run);
}

static void mytun_tasklet(struct tasklet_struct *tasklet)
{
	struct mytun_queue *queue =
		container_of(tasklet, struct mytun_queue, tasklet);
	bool more;

	lockdep_assert_in_softirq();
	if (READ_ONCE(queue->stopping))
		return;
	/* full barrier: what was put into the ring before a call is seen */
	atomic_xchg(&queue->tx_calls, MYTUN_TX_RUNS);
	more = mytun_tx_run(queue);
	if (atomic_xchg(&queue->tx_calls, 0) & MYTUN_TX_CALLED)
		more = true;
	if (more && !READ_ONCE(queue->stopping))
		mytun_tx_hand_over(queue);
}

/*
 * Bottom halves or interrupts are off. While a run goes on, a call is left with it:
 * the tasklet scheduled on another CPU meanwhile would be tried there over and over
 * until that run is over.
 */
static void mytun_tx_call(struct mytun_queue *queue)
{
	if (!(atomic_fetch_or(MYTUN_TX_CALLED, &queue->tx_calls) &
	      MYTUN_TX_RUNS))
		tasklet_schedule(&queue->tasklet);
}

/* From the process's doorbell, in hard interrupt context */
static void mytun_tx_work(struct irq_work *work)
{
	mytun_tx_call(container_of(work, struct mytun_queue, tx_work));
}

void mytun_tasklet_setup(struct mytun_queue *queue)
{
	tasklet_setup(&queue->tasklet, mytun_tasklet);
	queue->tx_work = IRQ_WORK_INIT_HARD(mytun_tx_work);
}

/*
 * From the kthread or a process. With bottom halves off around it the softirq
 * runs here, as they come on again, and ksoftirqd is not woken for it.
 */
void mytun_tasklet_schedule(struct mytun_queue *queue)
{
	local_bh_disable();
	/* the device may go as soon as bottom halves are on */
	if (!READ_ONCE(queue->stopping))
		mytun_tx_call(queue);
	local_bh_enable();
}

/* Has the process said that there are frames which are not taken yet? */
bool mytun_tasklet_is_wanted(const struct mytun_queue *queue)
{
	return READ_ONCE(*queue->tx.shared_producer) !=
	       READ_ONCE(*queue->tx.shared_consumer);
}

/*
 * By who closes the file, without locks: what was put into the ring before goes to
 * the stack, as what was written to stock tun has gone. Who still has the page with
 * the producer index may change it: neither word nor patience is endless.
 */
void mytun_tasklet_drain(struct mytun_queue *queue)
{
	unsigned int patience = MYTUN_DRAIN_PAUSES;
	u32 end, seen, now;

	if (!mytun_has_tx_ring(queue))
		return;
	end = READ_ONCE(*queue->tx.shared_producer);
	now = READ_ONCE(*queue->tx.shared_consumer);
	while ((u32)(end - now) - 1 < queue->tx.size && patience &&
	       !READ_ONCE(queue->stopping) && !READ_ONCE(queue->state)) {
		seen = now;
		mytun_tasklet_schedule(queue);
		now = READ_ONCE(*queue->tx.shared_consumer);
		cond_resched();
		if (now != seen)
			continue;
		/* it runs elsewhere: that may want this CPU */
		usleep_range(MYTUN_PAUSE_MIN_US, MYTUN_PAUSE_MAX_US);
		patience--;
	}
}

/*
 * After a grace period with @stopping set: neither the kthread nor a write() calls
 * for a run, and no doorbell rings; one that rang may still be on its way. Not
 * irq_work_sync(): where a work is no interrupt it waits for RCU, and rtnl is held.
 * What that is for, the memory, stays for longer.
 */
void mytun_tasklet_kill(struct mytun_queue *queue)
{
	while (irq_work_is_busy(&queue->tx_work))
		usleep_range(MYTUN_PAUSE_MIN_US, MYTUN_PAUSE_MAX_US);
	tasklet_kill(&queue->tasklet);
}
