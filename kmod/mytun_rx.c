// SPDX-License-Identifier: GPL-2.0
/*
 * From an skb to a frame in the rx ring
 *
 * The ring has one producer: whoever holds rx_lock, and with it all frames that
 * wait. That is the sender itself, as a rule: to copy a frame where it is in the
 * CPU's cache costs less than to hand it to another one. A sender that finds the
 * lock taken leaves its frame in sk_receive_queue, and who has the lock moves what
 * waits before and after its own. For what is left when the ring is full, or when
 * a sender has done enough for others, there is the queue's kthread; and for all
 * frames where the device's owner wants that (rx-by-thread).
 *
 * To the ring's arithmetic the room around a frame is a part of its payload.
 *
 * Without an rx ring frames wait in sk_receive_queue for mytun_read.c.
 */

#include "mytun.h"

/* Bounds of a drain: small enough to keep the process busy early */
#define MYTUN_RX_FRAMES_PER_DRAIN	64
#define MYTUN_RX_BYTES_PER_DRAIN	(256U << 10)
/* So often a sender looks again for frames that came meanwhile */
#define MYTUN_RX_ROUNDS_OF_SENDER	4

/*
 * What was put into the ring since the last post, which moved the producer's index
 * from @from to @to, when @first frames had been put there. @taken counts those
 * too that were refused
 */
struct mytun_rx_batch {
	unsigned int taken;
	unsigned int frames;
	unsigned int bytes;
	u32 first;
	u32 from;
	u32 to;
};

/* Is it another checksum that is to be filled in than that of TCP or UDP? */
static bool mytun_rx_wants_crc(struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_PARTIAL && skb_csum_is_sctp(skb);
}

/*
 * What is left to do to the frame is said in @header, or done. A super-packet that
 * an earlier owner of the device had asked for may still be on its way, and what
 * another device's XDP program has cut off may be where the checksum was.
 * @flags: the device's
 */
int mytun_rx_finish(unsigned int flags, struct sk_buff *skb,
		    struct mytun_frame *header)
{
	/* of a frame that is complete, all zeros say so */
	if (likely(skb->ip_summed == CHECKSUM_NONE && !skb_is_gso(skb)))
		return 0;
	if (skb->ip_summed == CHECKSUM_PARTIAL && !mytun_vnet_fits(skb))
		return -EINVAL;
	/* no virtio_net_hdr could tell of the CRC that SCTP has */
	if (flags & IFF_VNET_HDR && likely(!mytun_rx_wants_crc(skb)))
		return mytun_vnet_describe(skb, header);
	if (skb_is_gso(skb))
		return -EINVAL;
	return skb->ip_summed == CHECKSUM_PARTIAL ?
	       skb_csum_hwoffload_help(skb, 0) : 0;
}

/* All that stands in front of the frame, for who reads it */
int mytun_rx_describe(unsigned int flags, struct sk_buff *skb,
		      struct mytun_frame *header)
{
	*header = (struct mytun_frame) {
		.length = skb->len,
		.flags = MYTUN_FRAME_HASH,
		.hash = mytun_hash_link(skb, flags & IFF_TAP),
	};
	return mytun_rx_finish(flags, skb, header);
}

static int mytun_rx_fill(struct mytun_queue *queue, struct mytun_frame *frame,
			 struct sk_buff *skb)
{
	unsigned int flags = READ_ONCE(queue->device->flags);
	struct mytun_frame header = { .length = skb->len };
	int err;

	if (queue->rx_hashed) {
		header.flags = MYTUN_FRAME_HASH;
		header.hash = mytun_hash_link(skb, flags & IFF_TAP);
	}
	err = mytun_rx_finish(flags, skb, &header);
	if (err)
		return err;
	err = skb_copy_bits(skb, 0, (void *)(frame + 1) + queue->rx_headroom,
			    skb->len);
	if (err)
		return err;
	*frame = header;
	return 0;
}

/*
 * False if there is no room for the frame; otherwise the skb is gone, in bulk with
 * others.
 */
static bool mytun_rx_put(struct mytun_queue *queue, struct sk_buff *skb,
			 struct mytun_rx_batch *batch)
{
	unsigned int length = skb->len;
	u32 occupied = length + queue->rx_room;
	struct mytun_frame *frame;

	lockdep_assert_in_softirq();
	lockdep_assert_held(&queue->rx_lock);
	frame = mytun_ring_reserve(&queue->rx, occupied);
	if (!frame)
		return false;

	batch->taken++;
	if (mytun_rx_fill(queue, frame, skb)) {
		kfree_skb_reason(skb, SKB_DROP_REASON_DEV_HDR);
		dev_core_stats_tx_dropped_inc(queue->device->dev);
		return true;
	}
	mytun_ring_submit(&queue->rx, occupied);
	batch->frames++;
	batch->bytes += length;
	napi_consume_skb(skb, 1);
	return true;
}

/* Counts first: a process that has all frames can read that it has */
static void mytun_rx_post(struct mytun_queue *queue,
			  struct mytun_rx_batch *batch)
{
	lockdep_assert_held(&queue->rx_lock);
	batch->first = mytun_counted(queue, MYTUN_RX_FRAMES);
	mytun_count(queue, MYTUN_RX_FRAMES, batch->frames);
	mytun_count(queue, MYTUN_RX_BYTES, batch->bytes);
	mytun_count(queue, MYTUN_RX_DOORBELLS_SUPPRESSED, 1);
	dev_sw_netstats_tx_add(queue->device->dev, batch->frames, batch->bytes);

	batch->from = queue->rx.posted;
	mytun_ring_post(&queue->rx);
	batch->to = queue->rx.posted;
}

/* Behind the barrier that follows a post, with the lock still, or again */
static void mytun_rx_tell(struct mytun_queue *queue,
			  const struct mytun_rx_batch *batch)
{
	bool awaited = mytun_ring_is_awaited(&queue->rx, batch->from,
					     batch->to);

	lockdep_assert_held(&queue->rx_lock);
	mytun_moderate(queue, awaited, batch->first);
	mytun_wake_frames(queue);
}

static void mytun_rx_publish(struct mytun_queue *queue,
			     struct mytun_rx_batch *batch)
{
	lockdep_assert_held(&queue->rx_lock);
	if (!batch->frames)
		return;
	mytun_rx_post(queue, batch);
	smp_mb(); /* C */
	mytun_rx_tell(queue, batch);
}

/* The same without the lock: is there anybody to tell? Not so for most frames */
static bool mytun_rx_is_to_tell(const struct mytun_queue *queue,
				const struct mytun_rx_batch *batch)
{
	return mytun_ring_is_awaited(&queue->rx, batch->from, batch->to) ||
	       mytun_ring_is_short(&queue->rx, batch->to) ||
	       READ_ONCE(queue->poll_frames);
}

/*
 * By a sender, which publishes and lets go of the lock with one barrier for both:
 * afterwards it sees who sleeps, and who has found the lock taken (L). True if the
 * ring is broken
 */
static bool mytun_rx_publish_and_unlock(struct mytun_queue *queue,
					struct mytun_rx_batch *batch)
	__releases(&queue->rx_lock)
{
	bool broken;

	/* of a held doorbell, each frame may be the one that ends it */
	if (!batch->frames || queue->rx_held) {
		mytun_rx_publish(queue, batch);
		broken = queue->rx.broken;
		spin_unlock(&queue->rx_lock);
		smp_mb(); /* L */
		return broken;
	}
	mytun_rx_post(queue, batch);
	broken = queue->rx.broken;
	spin_unlock(&queue->rx_lock);
	smp_mb(); /* C, L */
	if (likely(!mytun_rx_is_to_tell(queue, batch)))
		return broken;
	spin_lock(&queue->rx_lock);
	mytun_rx_tell(queue, batch);
	broken = queue->rx.broken;
	spin_unlock(&queue->rx_lock);
	smp_mb(); /* L */
	return broken;
}

/* All that waits becomes the holder's of rx_lock */
static void mytun_rx_take(struct mytun_queue *queue)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	unsigned long flags;

	lockdep_assert_held(&queue->rx_lock);
	if (!skb_queue_empty(&queue->backlog) || mytun_list_is_empty(list))
		return;
	spin_lock_irqsave(&list->lock, flags);
	skb_queue_splice_tail_init(list, &queue->backlog);
	spin_unlock_irqrestore(&list->lock, flags);
}

/* The ring is full: let the limit of the stack's queue count these again */
static void mytun_rx_give_back(struct mytun_queue *queue)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	unsigned long flags;

	lockdep_assert_held(&queue->rx_lock);
	spin_lock_irqsave(&list->lock, flags);
	skb_queue_splice_init(&queue->backlog, list);
	spin_unlock_irqrestore(&list->lock, flags);
}

/* No room: count it once. In a broken ring there will be none */
static void mytun_rx_stall(struct mytun_queue *queue, struct sk_buff *skb)
{
	lockdep_assert_held(&queue->rx_lock);
	__skb_queue_head(&queue->backlog, skb);
	if (queue->rx.broken)
		return;
	if (!READ_ONCE(queue->rx_stalled))
		mytun_count(queue, MYTUN_RX_RING_FULL, 1);
	WRITE_ONCE(queue->rx_stalled, true);
	mytun_rx_give_back(queue);
}

static void mytun_rx_fill_ring(struct mytun_queue *queue,
			       struct mytun_rx_batch *batch)
{
	struct sk_buff *skb;

	lockdep_assert_held(&queue->rx_lock);
	while (batch->taken < MYTUN_RX_FRAMES_PER_DRAIN &&
	       batch->bytes < MYTUN_RX_BYTES_PER_DRAIN) {
		skb = __skb_dequeue(&queue->backlog);
		if (!skb)
			break;
		if (!mytun_rx_put(queue, skb, batch)) {
			mytun_rx_stall(queue, skb);
			break;
		}
		WRITE_ONCE(queue->rx_stalled, false);
	}
}

/*
 * Move up to a batch of what waits into the ring. False if there is more, or no
 * room for it
 */
static bool mytun_rx_move(struct mytun_queue *queue,
			  struct mytun_rx_batch *batch)
{
	lockdep_assert_held(&queue->rx_lock);
	mytun_rx_take(queue);
	if (likely(skb_queue_empty(&queue->backlog)))
		return true;
	mytun_rx_fill_ring(queue, batch);
	return skb_queue_empty(&queue->backlog) &&
	       mytun_list_is_empty(&queue->sk.sk_receive_queue);
}

/* What became of a sender's try to put its frame into the ring */
enum mytun_rx_try {
	MYTUN_RX_DONE,		/* the skb is gone */
	MYTUN_RX_TAKEN,		/* somebody else has the ring */
	MYTUN_RX_LATER,		/* no room, or it is the kthread's to do */
};

/*
 * By a sender: its frame, after those that came before it. If it had the ring, a
 * full barrier (L) is behind it
 */
static enum mytun_rx_try mytun_rx_try(struct mytun_queue *queue,
				      struct sk_buff *skb)
{
	struct mytun_rx_batch batch = {};
	unsigned int others, own;
	bool done, broken;

	lockdep_assert_in_softirq();
	if (!spin_trylock(&queue->rx_lock))
		return MYTUN_RX_TAKEN;

	done = mytun_rx_move(queue, &batch);
	others = batch.taken;
	own = batch.frames;
	done = done && mytun_rx_put(queue, skb, &batch);
	mytun_count(queue, MYTUN_RX_DIRECT, batch.frames - own);
	broken = mytun_rx_publish_and_unlock(queue, &batch);
	if (unlikely(broken))
		mytun_state_set(queue, MYTUN_STATE_RX_BROKEN);
	if (others)
		mytun_waiting_offer_room(queue);
	return done ? MYTUN_RX_DONE : MYTUN_RX_LATER;
}

/* By a sender: what others have left. True if nothing is left now */
static bool mytun_rx_serve_others(struct mytun_queue *queue)
{
	unsigned int rounds = MYTUN_RX_ROUNDS_OF_SENDER;
	struct mytun_rx_batch batch;
	bool broken;

	do {
		/* who has it now looks again, too */
		if (!spin_trylock(&queue->rx_lock))
			return true;
		batch = (struct mytun_rx_batch) {};
		mytun_rx_move(queue, &batch);
		mytun_rx_publish(queue, &batch);
		broken = queue->rx.broken;
		spin_unlock(&queue->rx_lock);
		if (unlikely(broken))
			mytun_state_set(queue, MYTUN_STATE_RX_BROKEN);
		mytun_waiting_offer_room(queue);
		if (!mytun_waiting_left_behind(queue))
			return true;
	} while (batch.taken && --rounds);
	return false;
}

/* Of a queue that had no rx ring a moment ago */
static bool mytun_rx_enqueue_for_read(struct mytun_queue *queue,
				      struct sk_buff *skb)
{
	if (!mytun_waiting_add(queue, skb))
		return false;
	mytun_wake_reader(queue);
	/* it has one now, and its kthread found nothing before it slept */
	if (unlikely(READ_ONCE(queue->asleep)))
		mytun_waiting_wake_kthread(queue);
	return true;
}

/*
 * Called by the stack, any CPU, under RCU. False if too many frames wait already;
 * the caller then still owns @skb.
 */
bool mytun_rx_enqueue(struct mytun_queue *queue, struct sk_buff *skb)
{
	enum mytun_rx_try tried;
	bool taken = true;

	lockdep_assert_in_softirq();
	if (!mytun_has_rx_ring(queue))
		return mytun_rx_enqueue_for_read(queue, skb);
	tried = likely(!READ_ONCE(queue->device->rx_by_thread)) ?
		mytun_rx_try(queue, skb) : MYTUN_RX_LATER;
	/* who had the ring owes a look to those that found it taken */
	if (tried == MYTUN_RX_DONE && likely(!mytun_waiting_any(queue)))
		return true;
	if (tried != MYTUN_RX_DONE)
		taken = mytun_waiting_add(queue, skb);
	if (!mytun_waiting_left_behind(queue))
		return taken;
	if (tried == MYTUN_RX_LATER || !mytun_rx_serve_others(queue))
		mytun_waiting_wake_kthread(queue);
	return taken;
}

/* By the kthread: move up to a batch into the ring. True if anything moved */
bool mytun_rx_drain(struct mytun_queue *queue)
{
	struct mytun_rx_batch batch = {};
	bool broken;

	if (!mytun_waiting_any(queue))
		return false;
	/* they wait for read() */
	if (!queue->rx.size)
		return false;

	spin_lock_bh(&queue->rx_lock);
	/* the device may go as soon as bottom halves are on */
	if (likely(!READ_ONCE(queue->stopping))) {
		mytun_rx_move(queue, &batch);
		mytun_rx_publish(queue, &batch);
	}
	broken = queue->rx.broken;
	spin_unlock_bh(&queue->rx_lock);

	if (broken)
		mytun_state_set(queue, MYTUN_STATE_RX_BROKEN);
	mytun_waiting_offer_room(queue);
	return batch.taken;
}

/* True if there is no room, and the process will say when there is */
static bool mytun_rx_wait_space(struct mytun_queue *queue, unsigned int length)
{
	u32 occupied = length + queue->rx_room;
	bool wait;

	spin_lock_bh(&queue->rx_lock);
	wait = !mytun_ring_wait_space(&queue->rx, occupied) &&
	       !queue->rx.broken;
	spin_unlock_bh(&queue->rx_lock);
	return wait;
}

/* By the kthread, before it sleeps: nothing waits, or there is no room for it */
bool mytun_rx_may_sleep(struct mytun_queue *queue)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	struct sk_buff *first;
	unsigned int length;

	if (!queue->rx.size)
		return true;

	spin_lock_irq(&list->lock);
	/* a sender may have left it there, and not have to wake who is awake */
	if (!mytun_list_is_empty(&queue->backlog)) {
		spin_unlock_irq(&list->lock);
		return false;
	}
	first = skb_peek(list);
	length = first ? first->len : 0;
	WRITE_ONCE(queue->asleep, !first);
	spin_unlock_irq(&list->lock);
	/* nothing waits for room any more: a parked queue's frames have gone */
	if (!first)
		WRITE_ONCE(queue->rx_stalled, false);
	/*
	 * A read() from before the ring may take first: then there is room for
	 * its length all the sooner
	 */
	return !first || (READ_ONCE(queue->rx_stalled) && mytun_rx_wait_space(queue, length));
}

/* In softirq context: the time that a doorbell was held is over */
static enum hrtimer_restart mytun_rx_timeout(struct hrtimer *timer)
{
	struct mytun_queue *queue =
		container_of(timer, struct mytun_queue, rx_timer);

	spin_lock(&queue->rx_lock);
	mytun_moderate_expire(queue);
	spin_unlock(&queue->rx_lock);
	if (mytun_waiting_left_behind(queue))
		mytun_waiting_wake_kthread(queue);
	return HRTIMER_NORESTART;
}

void mytun_rx_setup(struct mytun_queue *queue)
{
	mytun_moderate_setup(queue);
	mytun_setup_hrtimer(&queue->rx_timer, mytun_rx_timeout);
}
