// SPDX-License-Identifier: GPL-2.0
/* Who waits in poll(), read(), write() or MYTUN_IOC_WAIT is woken */

#include <linux/fs.h>
#include <linux/poll.h>

#include "mytun.h"

/*
 * The caller has a full barrier between its change and this. Many may wait for the
 * same: the one flag is for all of them, who look again and arm it anew.
 */
static void mytun_wake_armed(struct mytun_queue *queue, bool *armed,
			     __poll_t events)
{
	if (!READ_ONCE(*armed))
		return;
	WRITE_ONCE(*armed, false);
	wake_up_interruptible_poll(&queue->poll_wait, events);
}

/* There are frames in the rx ring */
void mytun_wake_frames(struct mytun_queue *queue)
{
	mytun_wake_armed(queue, &queue->poll_frames, EPOLLIN | EPOLLRDNORM);
}

/* There is room in the tx ring */
void mytun_wake_room(struct mytun_queue *queue)
{
	mytun_wake_armed(queue, &queue->poll_room, EPOLLOUT | EPOLLWRNORM);
}

/* A frame waits that no thread of the kernel will move: tell by all ways */
void mytun_wake_reader(struct mytun_queue *queue)
{
	if (wq_has_sleeper(&queue->poll_wait))
		wake_up_interruptible_sync_poll(&queue->poll_wait,
						EPOLLIN | EPOLLRDNORM |
						EPOLLRDBAND);
	kill_fasync(&queue->fasync, SIGIO, POLL_IN);
}

/* Frees of charged frames come here, and the end of any reason not to write */
void mytun_wake_writer(struct mytun_queue *queue)
{
	/* pairs with the barriers of those who wait: room first, then the bit */
	if (!test_and_clear_bit(0, &queue->write_stalled))
		return;
	wake_up_interruptible_poll(&queue->poll_wait, EPOLLOUT | EPOLLWRNORM |
						      EPOLLWRBAND);
	kill_fasync(&queue->fasync, SIGIO, POLL_OUT);
}
