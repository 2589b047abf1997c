// SPDX-License-Identifier: GPL-2.0
/*
 * From write() to the stack
 *
 * A queue without a tx ring is written to as stock tun is: one frame a call,
 * behind struct tun_pi and a virtio_net_hdr if the device has them, received by
 * the stack before the call returns. A process that asked for it writes many
 * frames a call, each behind a struct mytun_frame, as in a ring. With a tx ring,
 * write() carries no frames: one of length 0 empties the ring.
 *
 * The payload is copied before anything looks at it, and the device is not held
 * meanwhile: it may be gone when the copy is complete.
 */

#include <linux/etherdevice.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "mytun.h"

/* Frames of one call that are in flight at once, as many as a slab has */
#define MYTUN_WRITE_BATCH	16

/**
 * struct mytun_written - what the process said in front of a frame
 * @header:   @vnet and its offsets, little endian, whatever the device's order
 * @protocol: of struct tun_pi, if @has_pi
 * @has_pi:   false if the frame itself is to tell the protocol
 * @length:   of the frame that follows
 */
struct mytun_written {
	struct mytun_frame header;
	__be16 protocol;
	bool has_pi;
	size_t length;
};

/*
 * Frames of one call on their way from the process to the stack. @charged: to
 * the file's send buffer, all of the call or none
 */
struct mytun_write_batch {
	bool charged;
	struct mytun_frame headers[MYTUN_WRITE_BATCH];
	struct sk_buff *skbs[MYTUN_WRITE_BATCH];
	unsigned int frames;
	unsigned int segments;
	size_t bytes;
};

/*
 * The last byte of a frame is given back after all others were told of, without
 * a word: it takes no room, and neither do those of frames that are being given
 * back elsewhere. What is less than any frame is charged is such bytes. Who
 * waited for them might wait for ever.
 */
static bool mytun_write_is_settled(const struct sock *sk)
{
	return sk_wmem_alloc_get(sk) < SKB_DATA_ALIGN(sizeof(struct sk_buff));
}

/* Who waits for room is told when half of it is free */
static bool mytun_write_is_offered(const struct sock *sk)
{
	return sock_writeable(sk) || mytun_write_is_settled(sk);
}

/* Any context, and maybe after the file is closed: skbs keep the socket */
void mytun_write_space(struct sock *sk)
{
	if (mytun_write_is_offered(sk))
		mytun_wake_writer(container_of(sk, struct mytun_queue, sk));
}

static bool __mytun_write_is_possible(struct mytun_queue *queue)
{
	struct mytun_device *device;
	bool running;

	rcu_read_lock();
	device = rcu_dereference(queue->io_device);
	running = device && netif_running(device->dev);
	rcu_read_unlock();
	return running && mytun_write_is_offered(&queue->sk);
}

/* For poll(): if not, whoever makes it possible wakes */
bool mytun_write_is_possible(struct mytun_queue *queue)
{
	if (__mytun_write_is_possible(queue))
		return true;
	set_bit(0, &queue->write_stalled);
	/* pairs with the atomic in mytun_wake_writer() */
	smp_mb__after_atomic();
	return __mytun_write_is_possible(queue);
}

static bool mytun_write_has_room(struct mytun_queue *queue)
{
	return mytun_write_is_settled(&queue->sk) ||
	       sk_wmem_alloc_get(&queue->sk) < READ_ONCE(queue->sk.sk_sndbuf);
}

static bool mytun_write_may_go_on(struct mytun_queue *queue)
{
	set_bit(0, &queue->write_stalled);
	/* pairs with the atomic in mytun_wake_writer() */
	smp_mb__after_atomic();
	return mytun_write_has_room(queue) ||
	       !rcu_access_pointer(queue->io_device);
}

/*
 * TUNSETSNDBUF bounds the bytes that the stack has not received yet. Without it
 * nothing is charged: no write could ever reach the limit. Asked once a call, so
 * that who changes it meanwhile does not part the frames of one.
 */
static bool mytun_write_is_charged(const struct mytun_queue *queue)
{
	return READ_ONCE(queue->sk.sk_sndbuf) != INT_MAX;
}

static int mytun_write_wait(struct mytun_queue *queue, bool charged,
			    bool nonblock)
{
	if (!charged || mytun_write_has_room(queue))
		return 0;
	if (nonblock)
		return -EAGAIN;
	return wait_event_interruptible(queue->poll_wait,
					mytun_write_may_go_on(queue));
}

static struct sk_buff *mytun_write_copy(struct mytun_queue *queue, bool charged,
					size_t length, struct iov_iter *from)
{
	struct sk_buff *skb = mytun_frame_from_iter(queue, length, from);

	if (!IS_ERR(skb) && charged)
		skb_set_owner_w(skb, &queue->sk);
	return skb;
}

static int mytun_written_get_pi(struct mytun_written *written,
				struct iov_iter *from)
{
	struct tun_pi pi;

	if (iov_iter_count(from) < sizeof(pi))
		return -EINVAL;
	if (!copy_from_iter_full(&pi, sizeof(pi), from))
		return -EFAULT;
	written->protocol = pi.proto;
	written->has_pi = true;
	return 0;
}

/* The size tells if offsets of a tunnel are in it, as for stock tun */
static size_t mytun_written_vnet_known(const struct mytun_format *format)
{
	return format->vnet_size < MYTUN_VNET_TUNNEL_SIZE ?
	       sizeof(struct virtio_net_hdr) : MYTUN_VNET_TUNNEL_SIZE;
}

static int mytun_written_get_vnet(const struct mytun_format *format,
				  struct mytun_written *written,
				  struct iov_iter *from)
{
	size_t known = mytun_written_vnet_known(format);
	struct virtio_net_hdr_v1_hash_tunnel vnet = {};
	struct mytun_frame *header = &written->header;

	if (iov_iter_count(from) < format->vnet_size)
		return -EINVAL;
	if (!copy_from_iter_full(&vnet, known, from))
		return -EFAULT;
	iov_iter_advance(from, format->vnet_size - known);
	memcpy(&header->vnet, &vnet, sizeof(struct virtio_net_hdr));
	header->outer_th_offset = vnet.outer_th_offset;
	header->inner_nh_offset = vnet.inner_nh_offset;
	mytun_vnet_convert(format, &header->vnet);
	return mytun_vnet_headers(&header->vnet) > iov_iter_count(from) ?
	       -EINVAL : 0;
}

static int mytun_written_check(const struct mytun_format *format,
			       const struct mytun_written *written)
{
	u32 headers = mytun_vnet_headers(&written->header.vnet);

	if (written->length > MYTUN_FRAME_MAX)
		return -EMSGSIZE;
	if (format->flags & IFF_TAP &&
	    (written->length < ETH_HLEN || (headers && headers < ETH_HLEN)))
		return -EINVAL;
	return 0;
}

static int mytun_written_get(const struct mytun_format *format,
			     struct mytun_written *written,
			     struct iov_iter *from)
{
	int err = 0;

	if (!(format->flags & IFF_NO_PI))
		err = mytun_written_get_pi(written, from);
	if (!err && format->vnet_size)
		err = mytun_written_get_vnet(format, written, from);
	if (err)
		return err;
	written->length = iov_iter_count(from);
	return mytun_written_check(format, written);
}

static void mytun_write_count(struct mytun_queue *queue, struct net_device *dev,
			      unsigned int frames, unsigned int bytes)
{
	struct pcpu_sw_netstats *tstats = this_cpu_ptr(dev->tstats);

	u64_stats_update_begin(&tstats->syncp);
	u64_stats_add(&tstats->rx_packets, frames);
	u64_stats_add(&tstats->rx_bytes, bytes);
	u64_stats_update_end(&tstats->syncp);
	atomic64_add(frames, mytun_counter(queue, MYTUN_TX_FRAMES));
	atomic64_add(bytes, mytun_counter(queue, MYTUN_TX_BYTES));
}

/* Under RCU, bottom halves off. What GRO holds back goes on at once */
static void mytun_write_receive(struct mytun_queue *queue,
				struct mytun_device *device,
				struct sk_buff_head *skbs)
{
	bool gro = false;

	mytun_deliver(queue, device, skbs, &gro);
	mytun_deliver_end(queue, gro);
}

static void mytun_write_receive_one(struct mytun_queue *queue,
				    struct mytun_device *device,
				    struct sk_buff *skb)
{
	struct sk_buff_head skbs;

	if (READ_ONCE(queue->write_gro)) {
		__skb_queue_head_init(&skbs);
		__skb_queue_tail(&skbs, skb);
		mytun_write_receive(queue, device, &skbs);
		return;
	}
	if (mytun_flows_wanted(queue, device))
		mytun_flows_remember(queue, device, skb);
	netif_receive_skb(skb);
}

/* mytun_write_deliver() to a device with an XDP program, if it still has one */
static int mytun_write_deliver_xdp(struct mytun_queue *queue,
				   struct mytun_device *device,
				   struct sk_buff *skb,
				   const struct mytun_written *written)
{
	struct mytun_bpf_context context;
	unsigned int length = skb->len;
	struct mytun_xdp_run run;

	if (!netif_running(device->dev)) {
		mytun_frame_drop_down(queue, device, skb);
		return -EIO;
	}
	mytun_xdp_begin(&run, &context, device);
	skb = mytun_frame_finish_xdp(queue, device, &run, skb, &written->header);
	mytun_xdp_end(&run, &context);
	/* what the program took was written all the same */
	if (IS_ERR_OR_NULL(skb))
		return PTR_ERR_OR_ZERO(skb);
	mytun_write_count(queue, device->dev, 1, length);
	mytun_write_receive_one(queue, device, skb);
	return 0;
}

/* Under RCU, bottom halves off. The skb is gone afterwards */
static int mytun_write_deliver(struct mytun_queue *queue, struct sk_buff *skb,
			       const struct mytun_written *written)
{
	struct mytun_device *device = rcu_dereference_bh(queue->io_device);
	__be16 protocol = written->protocol;
	unsigned int length = skb->len;

	if (!device) {
		kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY);
		return -EBADFD;
	}
	if (unlikely(rcu_access_pointer(device->xdp_program)))
		return mytun_write_deliver_xdp(queue, device, skb, written);
	if (!written->has_pi && !(READ_ONCE(device->flags) & IFF_TAP)) {
		protocol = mytun_frame_written_protocol(queue, device, skb);
		if (!protocol)
			return -EINVAL;
	}
	if (!mytun_frame_finish(queue, device, skb, &written->header, protocol))
		return -EINVAL;
	if (!netif_running(device->dev)) {
		mytun_frame_drop_down(queue, device, skb);
		return -EIO;
	}
	mytun_write_count(queue, device->dev, 1, length);
	mytun_write_receive_one(queue, device, skb);
	return 0;
}

static ssize_t mytun_write_one(struct mytun_queue *queue, struct iov_iter *from,
			       bool nonblock)
{
	bool charged = mytun_write_is_charged(queue);
	size_t total = iov_iter_count(from);
	struct mytun_written written = {};
	struct mytun_format format;
	struct sk_buff *skb;
	int err;

	if (!mytun_format_get(queue, &format))
		return -EBADFD;
	err = mytun_written_get(&format, &written, from);
	if (err)
		return err;
	err = mytun_write_wait(queue, charged, nonblock);
	if (err)
		return err;
	skb = mytun_write_copy(queue, charged, written.length, from);
	if (IS_ERR(skb))
		return PTR_ERR(skb);

	rcu_read_lock_bh();
	err = mytun_write_deliver(queue, skb, &written);
	rcu_read_unlock_bh();
	return err ?: total;
}

/* The header is the kernel's own copy from here on */
static int mytun_write_take(struct mytun_queue *queue,
			    struct mytun_write_batch *batch,
			    struct iov_iter *from)
{
	struct mytun_frame *header = &batch->headers[batch->frames];
	size_t room = iov_iter_count(from);
	struct sk_buff *skb;

	if (room < sizeof(*header))
		return -EINVAL;
	if (!copy_from_iter_full(header, sizeof(*header), from))
		return -EFAULT;
	if (header->length > room - sizeof(*header))
		return -EINVAL;
	if (header->length > MYTUN_FRAME_MAX)
		return -EMSGSIZE;
	skb = mytun_write_copy(queue, batch->charged, header->length, from);
	if (IS_ERR(skb))
		return PTR_ERR(skb);

	batch->skbs[batch->frames++] = skb;
	batch->segments += mytun_vnet_segments(header);
	/* nothing need follow the last one */
	iov_iter_advance(from, min(mytun_batch_footprint(header->length), room) -
			       sizeof(*header) - header->length);
	batch->bytes += room - iov_iter_count(from);
	return 0;
}

/*
 * Until the batch is full, or the process's bytes have come to an end. What was
 * gathered may itself be what fills the send buffer, so only the first waits.
 */
static int mytun_write_gather(struct mytun_queue *queue,
			      struct mytun_write_batch *batch,
			      struct iov_iter *from, bool nonblock)
{
	int err;

	batch->frames = 0;
	batch->segments = 0;
	batch->bytes = 0;
	while (batch->frames < MYTUN_WRITE_BATCH &&
	       batch->segments < MYTUN_SEGMENTS_PER_RUN &&
	       iov_iter_count(from)) {
		err = mytun_write_wait(queue, batch->charged,
				       nonblock || batch->frames);
		if (err)
			return err == -EAGAIN && !nonblock ? 0 : err;
		err = mytun_write_take(queue, batch, from);
		if (err)
			return err;
	}
	return 0;
}

/* Under RCU, bottom halves off. What is malformed is dropped, as in a ring */
static void mytun_write_receive_batch(struct mytun_queue *queue,
				      struct mytun_device *device,
				      struct mytun_write_batch *batch)
{
	struct mytun_bpf_context context;
	struct mytun_xdp_run xdp;
	struct sk_buff_head skbs;
	unsigned int bytes = 0;
	struct sk_buff *skb;
	unsigned int i;

	__skb_queue_head_init(&skbs);
	mytun_xdp_begin(&xdp, &context, device);
	for (i = 0; i < batch->frames; i++) {
		const struct mytun_frame *header = &batch->headers[i];

		skb = mytun_frame_accept(queue, device, &xdp, header,
					 batch->skbs[i]);
		if (!skb)
			continue;
		__skb_queue_tail(&skbs, skb);
		bytes += header->length;
	}
	mytun_xdp_end(&xdp, &context);
	mytun_write_count(queue, device->dev, skb_queue_len(&skbs), bytes);
	mytun_write_receive(queue, device, &skbs);
}

/* The skbs are gone afterwards */
static int mytun_write_deliver_batch(struct mytun_queue *queue,
				     struct mytun_write_batch *batch)
{
	struct mytun_device *device;
	unsigned int i;
	int err = 0;

	rcu_read_lock_bh();
	device = rcu_dereference_bh(queue->io_device);
	if (!device)
		err = -EBADFD;
	else if (!netif_running(device->dev))
		err = -EIO;
	else
		mytun_write_receive_batch(queue, device, batch);
	for (i = 0; err && i < batch->frames; i++)
		mytun_frame_drop_down(queue, device, batch->skbs[i]);
	rcu_read_unlock_bh();
	return err;
}

/* Bytes of the frames that were taken; an error after them is the next call's */
static ssize_t mytun_write_many(struct mytun_queue *queue,
				struct iov_iter *from, bool nonblock)
{
	struct mytun_write_batch batch;
	ssize_t done = 0;
	int err, lost;

	if (!rcu_access_pointer(queue->io_device))
		return -EBADFD;
	batch.charged = mytun_write_is_charged(queue);
	do {
		err = mytun_write_gather(queue, &batch, from, nonblock);
		lost = mytun_write_deliver_batch(queue, &batch);
		if (lost)
			return done ?: lost;
		done += batch.bytes;
		cond_resched();
	} while (!err && iov_iter_count(from) &&
		 !fatal_signal_pending(current));
	return done ?: err;
}

/* What the process put into the tx ring, which the queue has, is the tasklet's */
int mytun_write_flush(struct mytun_queue *queue)
{
	int err = -EBADFD;

	rcu_read_lock();
	if (rcu_access_pointer(queue->io_device)) {
		err = READ_ONCE(queue->state) ? -EIO : 0;
		if (mytun_tasklet_is_wanted(queue))
			mytun_tasklet_schedule(queue);
	}
	rcu_read_unlock();
	return err;
}

ssize_t mytun_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct mytun_queue *queue = iocb->ki_filp->private_data;
	bool nonblock = mytun_is_nonblocking(iocb);

	if (mytun_has_tx_ring(queue))
		return iov_iter_count(from) ? -EBUSY : mytun_write_flush(queue);
	if (READ_ONCE(queue->batch) & MYTUN_BATCH_WRITE)
		return mytun_write_many(queue, from, nonblock);
	return mytun_write_one(queue, from, nonblock);
}
