// SPDX-License-Identifier: GPL-2.0
/*
 * From waiting skbs to read()
 *
 * A queue without an rx ring is read as stock tun is: one frame a call, behind
 * struct tun_pi and a virtio_net_hdr if the device has them. A process that
 * asked for it gets many frames a call, each behind a struct mytun_frame. With
 * an rx ring, read() carries no frames: it waits until the ring has some.
 *
 * The device is looked at under RCU and never held: a process that is stuck in
 * a page fault holds nobody up who deletes it. So all that a frame needs the
 * device for is done where the frame leaves its list.
 */

#include <linux/uio.h>

#include "mytun.h"

/* As a sender's softirq is: bounded, and then it is others' turn */
#define MYTUN_READ_FRAMES_MAX	256

/**
 * struct mytun_read - what goes in front of a frame that is read
 * @many:   many frames a call, each behind all of @header
 * @format: else how the device's frames look, at the moment of this one
 * @header: of one frame alone @vnet and its offsets are filled in
 */
struct mytun_read {
	bool many;
	struct mytun_format format;
	struct mytun_frame header;
};

static bool mytun_read_is_over(const struct mytun_queue *queue)
{
	return !rcu_access_pointer(queue->io_device) ||
	       mytun_has_rx_ring(queue);
}

/*
 * Under RCU, with the device that @skb waited in: it has no other claim to it.
 * EBADMSG if nobody could make sense of the frame.
 */
static int mytun_read_describe(struct mytun_device *device, struct sk_buff *skb,
			       struct mytun_read *read)
{
	unsigned int flags;
	int err;

	mytun_format_of(device, &read->format);
	flags = read->format.flags;
	if (read->many)
		return mytun_rx_describe(flags, skb, &read->header);
	memset(&read->header, 0, sizeof(read->header));
	err = mytun_rx_finish(flags, skb, &read->header);
	if (err)
		return err;
	/* a header without offsets could not tell where to cut */
	return mytun_vnet_is_tunnel(&read->header.vnet) &&
	       read->format.vnet_size < MYTUN_VNET_TUNNEL_SIZE ? -EBADMSG : 0;
}

/* As mytun_read_take(), or EBADMSG for a frame that has been dropped */
static struct sk_buff *mytun_read_try(struct mytun_queue *queue, size_t room,
				      struct mytun_read *read)
{
	struct mytun_device *device;
	struct sk_buff *skb = NULL;

	rcu_read_lock();
	device = rcu_dereference(queue->io_device);
	if (device)
		skb = mytun_waiting_dequeue(queue, room);
	if (IS_ERR_OR_NULL(skb))
		goto unlock;
	if (mytun_read_describe(device, skb, read)) {
		kfree_skb_reason(skb, SKB_DROP_REASON_DEV_HDR);
		dev_core_stats_tx_dropped_inc(device->dev);
		skb = ERR_PTR(-EBADMSG);
	} else {
		/* who deletes the device waits for no reader */
		skb->dev = NULL;
	}
unlock:
	rcu_read_unlock();
	return skb;
}

/*
 * The first frame that waits and makes sense, and what @read is to say of it.
 * NULL if nothing waits, EMSGSIZE if it has more than @room bytes: then it stays.
 */
static struct sk_buff *mytun_read_take(struct mytun_queue *queue, size_t room,
				       struct mytun_read *read)
{
	struct sk_buff *skb;

	do {
		skb = mytun_read_try(queue, room, read);
	} while (skb == ERR_PTR(-EBADMSG));
	return skb;
}

/* The same, but sleeps for one. An end of the device is EFAULT, as for stock tun */
static struct sk_buff *mytun_read_wait(struct mytun_queue *queue, size_t room,
				       struct mytun_read *read, bool nonblock)
{
	struct sk_buff *skb;
	int err;

	skb = mytun_read_take(queue, room, read);
	if (skb)
		return skb;
	if (nonblock)
		return ERR_PTR(-EAGAIN);

	err = wait_event_interruptible(queue->poll_wait,
				       (skb = mytun_read_take(queue, room, read)) ||
				       mytun_read_is_over(queue));
	if (skb)
		return skb;
	if (err)
		return ERR_PTR(err);
	return ERR_PTR(mytun_has_rx_ring(queue) ? -EBUSY : -EFAULT);
}

/* Who has read a frame can see in the statistics that it was */
static void mytun_read_count(struct mytun_queue *queue, unsigned int bytes)
{
	struct mytun_device *device;

	rcu_read_lock_bh();
	device = rcu_dereference_bh(queue->io_device);
	if (device)
		dev_sw_netstats_tx_add(device->dev, 1, bytes);
	rcu_read_unlock_bh();
	atomic64_inc(mytun_counter(queue, MYTUN_RX_FRAMES));
	atomic64_add(bytes, mytun_counter(queue, MYTUN_RX_BYTES));
}

static int mytun_read_put(const void *from, size_t length, struct iov_iter *to)
{
	return copy_to_iter(from, length, to) == length ? 0 : -EFAULT;
}

/* As much of the frame as there is room for */
static int mytun_read_put_payload(struct sk_buff *skb, struct iov_iter *to)
{
	size_t length = min_t(size_t, skb->len, iov_iter_count(to));

	if (skb_is_nonlinear(skb))
		return skb_copy_datagram_iter(skb, 0, to, length);
	return mytun_read_put(skb->data, length, to);
}

static int mytun_read_put_pi(const struct sk_buff *skb, size_t total,
			     struct iov_iter *to)
{
	struct tun_pi pi = { .proto = skb->protocol };

	if (iov_iter_count(to) < sizeof(pi))
		return -EINVAL;
	if (iov_iter_count(to) < total)
		pi.flags = TUN_PKT_STRIP;
	return mytun_read_put(&pi, sizeof(pi), to);
}

/* What a larger header has behind is zero, on every kernel */
static int mytun_read_put_vnet(const struct mytun_format *format,
			       struct mytun_frame *header, struct iov_iter *to)
{
	struct virtio_net_hdr_v1_hash_tunnel vnet = {
		.outer_th_offset = header->outer_th_offset,
		.inner_nh_offset = header->inner_nh_offset,
	};
	size_t known = min_t(size_t, format->vnet_size, sizeof(vnet));
	size_t rest = format->vnet_size - known;
	int err;

	if (iov_iter_count(to) < format->vnet_size)
		return -EINVAL;
	mytun_vnet_convert(format, &header->vnet);
	memcpy(&vnet, &header->vnet, sizeof(struct virtio_net_hdr));
	err = mytun_read_put(&vnet, known, to);
	if (err)
		return err;
	return iov_iter_zero(rest, to) == rest ? 0 : -EFAULT;
}

/* As stock tun: bytes that were put, of a frame that may have been longer */
static ssize_t mytun_read_put_frame(struct mytun_read *read,
				    struct sk_buff *skb, struct iov_iter *to)
{
	const struct mytun_format *format = &read->format;
	size_t pi_size = format->flags & IFF_NO_PI ? 0 : sizeof(struct tun_pi);
	size_t total = pi_size + format->vnet_size + skb->len;
	size_t room = iov_iter_count(to);
	int err = 0;

	if (pi_size)
		err = mytun_read_put_pi(skb, total, to);
	if (!err && format->vnet_size)
		err = mytun_read_put_vnet(format, &read->header, to);
	if (!err)
		err = mytun_read_put_payload(skb, to);
	return err ?: min(total, room);
}

static ssize_t mytun_read_put_record(const struct mytun_frame *header,
				     struct sk_buff *skb, struct iov_iter *to)
{
	size_t footprint = mytun_batch_footprint(skb->len);
	size_t gap = footprint - sizeof(*header) - skb->len;
	int err;

	err = mytun_read_put(header, sizeof(*header), to);
	if (!err)
		err = mytun_read_put_payload(skb, to);
	if (err)
		return err;
	iov_iter_advance(to, gap);
	return footprint;
}

/* The skb is gone afterwards. @result: bytes that were put, or an error */
static ssize_t mytun_read_end(struct mytun_queue *queue, struct sk_buff *skb,
			      ssize_t result)
{
	if (result < 0) {
		kfree_skb(skb);
		return result;
	}
	mytun_read_count(queue, skb->len);
	consume_skb(skb);
	return result;
}

/* Payload that a record has room for; 0 if there is none */
static size_t mytun_read_room(const struct iov_iter *to)
{
	size_t count = round_down(iov_iter_count(to), MYTUN_BATCH_ALIGN);

	return count < sizeof(struct mytun_frame) ?
	       0 : count - sizeof(struct mytun_frame);
}

/* Sleeps for the first frame alone. An error after it is the next call's */
static ssize_t mytun_read_batch(struct mytun_queue *queue, struct iov_iter *to,
				bool nonblock)
{
	struct mytun_read read = { .many = true };
	unsigned int frames;
	struct sk_buff *skb;
	ssize_t done = 0;
	ssize_t result;

	for (frames = 0; frames < MYTUN_READ_FRAMES_MAX; frames++) {
		if (frames)
			skb = mytun_read_take(queue, mytun_read_room(to),
					      &read);
		else
			skb = mytun_read_wait(queue, mytun_read_room(to),
					      &read, nonblock);
		if (IS_ERR_OR_NULL(skb))
			return done ?: PTR_ERR(skb);
		result = mytun_read_put_record(&read.header, skb, to);
		result = mytun_read_end(queue, skb, result);
		if (result < 0)
			return done ?: result;
		done += result;
	}
	return done;
}

static ssize_t mytun_read_frame(struct mytun_queue *queue, struct iov_iter *to,
				bool nonblock)
{
	struct mytun_read read = {};
	struct sk_buff *skb;

	skb = mytun_read_wait(queue, SIZE_MAX, &read, nonblock);
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	return mytun_read_end(queue, skb,
			      mytun_read_put_frame(&read, skb, to));
}

/* Arms first: whoever publishes later wakes */
static bool mytun_ring_is_ready(struct mytun_queue *queue)
{
	WRITE_ONCE(queue->poll_frames, true);
	/* pairs with the barrier between a publish and mytun_wake_armed() */
	smp_mb();
	return READ_ONCE(queue->state) ||
	       mytun_rings_waiting(mytun_queue_rings(queue));
}

/* Until there are frames in the rx ring, which the queue has */
int mytun_read_wait_ring(struct mytun_queue *queue, bool nonblock)
{
	u32 state;
	int err;

	if (!mytun_ring_is_ready(queue)) {
		if (nonblock)
			return -EAGAIN;
		err = wait_event_interruptible(queue->poll_wait,
					       mytun_ring_is_ready(queue));
		if (err)
			return err;
	}
	state = READ_ONCE(queue->state);
	if (state & MYTUN_STATE_DETACHED)
		return -EBADFD;
	return state ? -EIO : 0;
}

/* As an eventfd: how much there is, in 8 bytes. The ring has the frames */
static ssize_t mytun_read_ring(struct mytun_queue *queue, struct iov_iter *to,
			       bool nonblock)
{
	u64 waiting;
	int err;

	if (iov_iter_count(to) < sizeof(waiting))
		return -EINVAL;
	err = mytun_read_wait_ring(queue, nonblock);
	if (err)
		return err;
	waiting = mytun_rings_waiting(mytun_queue_rings(queue));
	return mytun_read_put(&waiting, sizeof(waiting), to) ?: sizeof(waiting);
}

ssize_t mytun_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct mytun_queue *queue = iocb->ki_filp->private_data;
	bool nonblock = mytun_is_nonblocking(iocb);

	if (!rcu_access_pointer(queue->io_device))
		return -EBADFD;
	if (!iov_iter_count(to))
		return 0;
	if (mytun_has_rx_ring(queue))
		return mytun_read_ring(queue, to, nonblock);
	if (READ_ONCE(queue->batch) & MYTUN_BATCH_READ)
		return mytun_read_batch(queue, to, nonblock);
	return mytun_read_frame(queue, to, nonblock);
}
