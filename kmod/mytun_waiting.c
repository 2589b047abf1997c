// SPDX-License-Identifier: GPL-2.0
/*
 * What waits for the process
 *
 * Frames that are in no ring wait in sk_receive_queue: for read(), or for room in
 * the rx ring. Too many are dropped, or with back-pressure their senders are held
 * until half of them have gone. Who has rx_lock takes all that waits into the
 * queue's backlog and puts it back where the ring is full.
 */

#include "mytun.h"

/* With back-pressure: as many may wait before the stack is told to hold on */
#define MYTUN_WAITING_MAX		128U

/* The kthread's backlog counts: it goes back to the list when the ring is full */
static unsigned int mytun_waiting_count(const struct mytun_queue *queue)
{
	unsigned int backlog;

	lockdep_assert_held(&queue->sk.sk_receive_queue.lock);
	/* a frame more or less: it is another lock's */
	backlog = data_race(skb_queue_len_lockless(&queue->backlog));
	return skb_queue_len(&queue->sk.sk_receive_queue) + backlog;
}

/*
 * Of a device with back-pressure: no frame more than can wait, until some have
 * gone. Not where nothing would hold the frames, nor when they will never go.
 */
static void mytun_waiting_hold_senders(struct mytun_queue *queue)
{
	struct netdev_queue *txq = netdev_get_tx_queue(queue->device->dev,
						       queue->index);

	lockdep_assert_held(&queue->sk.sk_receive_queue.lock);
	if (!rcu_dereference_bh(txq->qdisc)->enqueue ||
	    READ_ONCE(queue->state))
		return;
	netif_tx_stop_queue(txq);
	if (!queue->rx_stopped)
		atomic64_inc(mytun_counter(queue, MYTUN_RX_QUEUE_STOPS));
	WRITE_ONCE(queue->rx_stopped, true);
}

static void __mytun_waiting_let_senders(struct mytun_queue *queue)
{
	struct net_device *dev = queue->device->dev;

	lockdep_assert_held(&queue->sk.sk_receive_queue.lock);
	WRITE_ONCE(queue->rx_stopped, false);
	netif_tx_wake_queue(netdev_get_tx_queue(dev, queue->index));
}

/* By whoever ended the reason to hold them */
void mytun_waiting_let_senders(struct mytun_queue *queue)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;

	spin_lock_irq(&list->lock);
	if (queue->rx_stopped)
		__mytun_waiting_let_senders(queue);
	spin_unlock_irq(&list->lock);
}

/* Senders go on when half of what waited is gone */
static void __mytun_waiting_offer_room(struct mytun_queue *queue)
{
	lockdep_assert_held(&queue->sk.sk_receive_queue.lock);
	if (queue->rx_stopped &&
	    mytun_waiting_count(queue) <= MYTUN_WAITING_MAX / 2)
		__mytun_waiting_let_senders(queue);
}

/* Room was made in the ring */
void mytun_waiting_offer_room(struct mytun_queue *queue)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	unsigned long flags;

	if (!READ_ONCE(queue->rx_stopped))
		return;
	spin_lock_irqsave(&list->lock, flags);
	__mytun_waiting_offer_room(queue);
	spin_unlock_irqrestore(&list->lock, flags);
}

/* False if too many wait already */
bool mytun_waiting_add(struct mytun_queue *queue, struct sk_buff *skb)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	unsigned int limit = READ_ONCE(skb->dev->tx_queue_len);
	unsigned long flags;

	spin_lock_irqsave(&list->lock, flags);
	if (unlikely(mytun_waiting_count(queue) >= limit)) {
		spin_unlock_irqrestore(&list->lock, flags);
		atomic64_inc(mytun_counter(queue, MYTUN_RX_DROPPED));
		return false;
	}
	__skb_queue_tail(list, skb);
	if (READ_ONCE(queue->device->flags) & IFF_BACKPRESSURE &&
	    mytun_waiting_count(queue) >= min(limit / 2, MYTUN_WAITING_MAX))
		mytun_waiting_hold_senders(queue);
	spin_unlock_irqrestore(&list->lock, flags);
	return true;
}

/*
 * By a reader, of a queue without an rx ring. NULL if nothing waits, EMSGSIZE if
 * the first has more than @room bytes: then it stays.
 */
struct sk_buff *mytun_waiting_dequeue(struct mytun_queue *queue, size_t room)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	struct sk_buff *skb;

	if (skb_queue_empty_lockless(list))
		return NULL;
	spin_lock_irq(&list->lock);
	skb = skb_peek(list);
	if (skb && skb->len > room)
		skb = ERR_PTR(-EMSGSIZE);
	else if (skb)
		__skb_unlink(skb, list);
	/* they are held only as long as the device is there */
	__mytun_waiting_offer_room(queue);
	spin_unlock_irq(&list->lock);
	return skb;
}

/*
 * By every holder of rx_lock who is not the kthread, when it has let go of it
 * without the barrier: a sender that found it taken may have queued its frame and
 * gone. And by that sender, before it tries again: one of the two sees the other
 */
bool mytun_waiting_left_behind(const struct mytun_queue *queue)
{
	/* pairs with itself: lock, then list here; list, then lock there */
	smp_mb(); /* L, L' */
	return mytun_waiting_any(queue);
}

/* What waits is the kthread's now */
void mytun_waiting_wake_kthread(struct mytun_queue *queue)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	unsigned long flags;
	bool wake;

	spin_lock_irqsave(&list->lock, flags);
	wake = READ_ONCE(queue->asleep);
	WRITE_ONCE(queue->asleep, false);
	spin_unlock_irqrestore(&list->lock, flags);
	if (wake)
		wake_up_process(queue->kthread);
}

/*
 * When no sender adds any more: what waits is not for the process. Nor is what the
 * kthread has in its hands, which would wait again where the ring is full
 */
void mytun_waiting_purge(struct mytun_queue *queue)
{
	struct sk_buff_head *list = &queue->sk.sk_receive_queue;
	struct sk_buff_head frames;

	ASSERT_RTNL();
	__skb_queue_head_init(&frames);
	spin_lock_bh(&queue->rx_lock);
	skb_queue_splice_init(&queue->backlog, &frames);
	spin_lock_irq(&list->lock);
	skb_queue_splice_tail_init(list, &frames);
	spin_unlock_irq(&list->lock);
	spin_unlock_bh(&queue->rx_lock);
	__skb_queue_purge(&frames);
}
