// SPDX-License-Identifier: GPL-2.0
/* Why a queue carries no frames, and who is told */

#include "mytun.h"

/* Tell the process, by all ways it may be waiting. Any context but hardirq */
void mytun_state_set(struct mytun_queue *queue, u32 state)
{
	struct mytun_rings *rings = mytun_queue_rings(queue);
	__poll_t events = EPOLLERR;
	bool news;

	spin_lock_bh(&queue->state_lock);
	news = state & ~queue->state;
	WRITE_ONCE(queue->state, queue->state | state);
	if (rings)
		mytun_rings_post_state(rings, queue->state);
	spin_unlock_bh(&queue->state_lock);
	if (!news)
		return;

	if (state & MYTUN_STATE_DETACHED)
		events |= EPOLLHUP;
	else /* no frame will go any more that would let them */
		mytun_waiting_let_senders(queue);
	mytun_doorbell_ring(&queue->rx_doorbell);
	mytun_doorbell_ring(&queue->tx_space);
	wake_up_interruptible_poll(&queue->poll_wait, events);
}
