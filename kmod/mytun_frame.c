// SPDX-License-Identifier: GPL-2.0
/*
 * From a header and bytes of the process to an skb
 *
 * The header given here is the kernel's own copy. The payload is still the
 * process's: it is copied before anything looks at it, and nothing in an skb
 * refers to the ring. What does not fit is counted by reason and dropped; the
 * frames behind it are not affected.
 *
 * What is in line is so for the ring's sake: write() uses it too, and four calls
 * would cost a frame of the ring one per cent.
 */

#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "mytun.h"

/* Up to here a frame is linear; above it headers are, and the rest is pages */
#define MYTUN_LINEAR_MAX	2048
#define MYTUN_LINEAR_HEADERS	256

/* Those who write() may be many */
static void mytun_frame_refuse(struct mytun_queue *queue,
			       struct mytun_device *device,
			       enum mytun_counter reason)
{
	atomic64_inc(mytun_counter(queue, reason));
	atomic64_inc(&device->rx_errors);
}

/* False, for those who return it */
static bool mytun_frame_refuse_skb(struct mytun_queue *queue,
				   struct mytun_device *device,
				   struct sk_buff *skb,
				   enum mytun_counter reason)
{
	mytun_frame_refuse(queue, device, reason);
	kfree_skb_reason(skb, reason == MYTUN_TX_REFUSED_PROTOCOL ?
			      SKB_DROP_REASON_UNHANDLED_PROTO :
			      SKB_DROP_REASON_DEV_HDR);
	return false;
}

static void mytun_frame_drop(struct mytun_queue *queue,
			     struct mytun_device *device,
			     enum mytun_counter reason)
{
	atomic64_inc(mytun_counter(queue, reason));
	if (device)
		dev_core_stats_rx_dropped_inc(device->dev);
}

/* Of a device that is down, or gone: NULL */
void mytun_frame_drop_down(struct mytun_queue *queue,
			   struct mytun_device *device, struct sk_buff *skb)
{
	mytun_frame_drop(queue, device, MYTUN_TX_DROPPED_DOWN);
	kfree_skb_reason(skb, SKB_DROP_REASON_DEV_READY);
}

static u32 mytun_frame_min(const struct mytun_device *device)
{
	return READ_ONCE(device->flags) & IFF_TAP ? ETH_HLEN : 1;
}

/* Offsets are of a tunnel's super-packets alone */
static __always_inline bool
mytun_frame_reserved_valid(const struct mytun_frame *header)
{
	if (likely(!(header->outer_th_offset | header->inner_nh_offset)))
		return !header->reserved;
	return !header->reserved && mytun_vnet_is_tunnel(&header->vnet);
}

/* True if the header is sound; counts the reason if not */
static __always_inline bool
mytun_frame_header_valid(struct mytun_queue *queue,
			 struct mytun_device *device,
			 const struct mytun_frame *header)
{
	enum mytun_counter reason;

	if (header->length < mytun_frame_min(device) ||
	    header->length > MYTUN_FRAME_MAX)
		reason = MYTUN_TX_REFUSED_LENGTH;
	else if (header->flags & ~MYTUN_FRAME_HASH ||
		 !mytun_frame_reserved_valid(header))
		reason = MYTUN_TX_REFUSED_FLAGS;
	else if (!mytun_vnet_valid(device, header))
		reason = MYTUN_TX_REFUSED_VNET;
	else
		return true;

	mytun_frame_refuse(queue, device, reason);
	return false;
}

/* What the stack wants in front of a frame, the link header behind it aligned */
static unsigned int mytun_frame_headroom(const struct mytun_queue *queue)
{
	return READ_ONCE(queue->headroom) + NET_IP_ALIGN;
}

static struct sk_buff *
mytun_frame_alloc_paged(const struct mytun_queue *queue, u32 length, gfp_t gfp)
{
	unsigned int headroom = mytun_frame_headroom(queue);
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(headroom + MYTUN_LINEAR_HEADERS,
				   length - MYTUN_LINEAR_HEADERS,
				   PAGE_ALLOC_COSTLY_ORDER, &err,
				   gfp | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	skb_put(skb, MYTUN_LINEAR_HEADERS);
	skb->data_len = length - MYTUN_LINEAR_HEADERS;
	skb->len = length;
	return skb;
}

/*
 * @flags: in softirq context, as the tasklet is, from the CPU's own cache. Not
 * from napi_alloc_skb(): it cuts up pages, which come back only when a whole
 * batch has gone, and are cleared before each use.
 */
static struct sk_buff *
mytun_frame_alloc_linear(const struct mytun_queue *queue, u32 length, gfp_t gfp,
			 int flags)
{
	unsigned int headroom = mytun_frame_headroom(queue);
	struct sk_buff *skb;

	skb = __alloc_skb(headroom + length, gfp | __GFP_NOWARN, flags,
			  NUMA_NO_NODE);
	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	skb_put(skb, length);
	return skb;
}

static struct sk_buff *mytun_frame_alloc_tx(const struct mytun_queue *queue,
					    u32 length)
{
	struct sk_buff *skb = mytun_pool_alloc(queue->tx_pool,
					       mytun_frame_headroom(queue),
					       length);

	return likely(skb) ? skb :
	       mytun_frame_alloc_linear(queue, length, GFP_ATOMIC,
					SKB_ALLOC_NAPI);
}

static struct sk_buff *mytun_frame_copy(struct mytun_queue *queue,
					const void *payload, u32 length)
{
	struct sk_buff *skb;

	if (length <= MYTUN_LINEAR_MAX) {
		skb = mytun_frame_alloc_tx(queue, length);
		if (skb)
			memcpy(skb->data, payload, length);
	} else {
		skb = mytun_frame_alloc_paged(queue, length, GFP_ATOMIC);
		if (skb)
			skb_store_bits(skb, 0, payload, length);
	}
	if (!skb)
		mytun_frame_drop(queue, queue->device,
				 MYTUN_TX_DROPPED_MEMORY);
	return skb;
}

/* The same, for a program to meet */
static struct sk_buff *mytun_frame_copy_xdp(struct mytun_queue *queue,
					    const void *payload, u32 length)
{
	struct sk_buff *skb;

	skb = mytun_xdp_has_room(length) ?
	      mytun_xdp_alloc(length) :
	      mytun_frame_alloc_paged(queue, length, GFP_ATOMIC);
	if (skb)
		skb_store_bits(skb, 0, payload, length);
	else
		mytun_frame_drop(queue, queue->device,
				 MYTUN_TX_DROPPED_MEMORY);
	return skb;
}

/* By who may sleep */
static struct sk_buff *mytun_frame_alloc(struct mytun_queue *queue, u32 length)
{
	if (mytun_xdp_has_room(length) && mytun_xdp_is_expected(queue))
		return mytun_xdp_alloc(length);
	if (length <= MYTUN_LINEAR_MAX)
		return mytun_frame_alloc_linear(queue, length, GFP_KERNEL, 0);
	return mytun_frame_alloc_paged(queue, length, GFP_KERNEL);
}

/* A copy for who may sleep; or ENOBUFS, EFAULT. Up to MYTUN_FRAME_MAX bytes */
struct sk_buff *mytun_frame_from_iter(struct mytun_queue *queue, u32 length,
				      struct iov_iter *from)
{
	struct sk_buff *skb = mytun_frame_alloc(queue, length);
	bool copied;

	if (!skb) {
		mytun_frame_drop(queue, NULL, MYTUN_TX_DROPPED_MEMORY);
		return ERR_PTR(-ENOBUFS);
	}
	copied = skb_is_nonlinear(skb) ?
		 !skb_copy_datagram_from_iter(skb, 0, from, length) :
		 copy_from_iter_full(skb->data, length, from);
	if (copied)
		return skb;
	kfree_skb_reason(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT);
	return ERR_PTR(-EFAULT);
}

/* TUN: the first nibble tells the protocol. 0 if it is none that we carry */
static __be16 mytun_frame_ip_protocol(const struct sk_buff *skb)
{
	if (!skb->len)
		return 0;
	switch (skb->data[0] >> 4) {
	case 4:
		return htons(ETH_P_IP);
	case 6:
		return htons(ETH_P_IPV6);
	}
	return 0;
}

/*
 * A written frame: what tells the protocol of one that came without struct
 * tun_pi. 0 if it is none: then the frame is gone, and counts as dropped and not
 * as an error, as for stock tun. Bottom halves are off.
 */
__be16 mytun_frame_written_protocol(struct mytun_queue *queue,
				    struct mytun_device *device,
				    struct sk_buff *skb)
{
	__be16 protocol = mytun_frame_ip_protocol(skb);

	if (!protocol) {
		mytun_frame_drop(queue, device, MYTUN_TX_REFUSED_PROTOCOL);
		kfree_skb_reason(skb, SKB_DROP_REASON_UNHANDLED_PROTO);
	}
	return protocol;
}

static bool mytun_frame_ip_complete(const struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		return skb->len >= sizeof(struct iphdr);
	return skb->len >= sizeof(struct ipv6hdr);
}

/*
 * What must be known before metadata is applied: the kernel's function looks for
 * the transport header of a super-packet whose checksum is complete, from the
 * network header on. A tag's protocol will do: behind it is another. False if the
 * protocol is none
 */
static __always_inline bool
mytun_frame_locate(struct mytun_device *device, struct sk_buff *skb,
		   const __be16 *protocol)
{
	skb->dev = device->dev;
	if (READ_ONCE(device->flags) & IFF_TAP) {
		skb->protocol = ((struct ethhdr *)skb->data)->h_proto;
		skb_set_network_header(skb, ETH_HLEN);
		return true;
	}
	skb->protocol = protocol ? *protocol : mytun_frame_ip_protocol(skb);
	skb_reset_network_header(skb);
	return protocol || skb->protocol;
}

/* Metadata is applied: the frame begins behind the link header from now on */
static __always_inline void mytun_frame_classify(struct mytun_device *device,
						 struct sk_buff *skb)
{
	if (READ_ONCE(device->flags) & IFF_TAP)
		skb->protocol = eth_type_trans(skb, device->dev);
	else
		skb_reset_mac_header(skb);
}

/* mytun_frame_finish(); without a @protocol the frame itself tells */
static __always_inline bool
__mytun_frame_finish(struct mytun_queue *queue, struct mytun_device *device,
		     struct sk_buff *skb, const struct mytun_frame *header,
		     const __be16 *protocol)
{
	/* it may have been written while the file had a device of another kind */
	if (READ_ONCE(device->flags) & IFF_TAP && skb->len < ETH_HLEN)
		return mytun_frame_refuse_skb(queue, device, skb,
					      MYTUN_TX_REFUSED_LENGTH);
	if (!mytun_frame_locate(device, skb, protocol))
		return mytun_frame_refuse_skb(queue, device, skb,
					      MYTUN_TX_REFUSED_PROTOCOL);
	if (mytun_vnet_apply(skb, header))
		return mytun_frame_refuse_skb(queue, device, skb,
					      MYTUN_TX_REFUSED_VNET);
	mytun_frame_classify(device, skb);

	if (skb_is_gso(skb) || skb->ip_summed == CHECKSUM_PARTIAL)
		skb_probe_transport_header(skb);
	skb_record_rx_queue(skb, queue->index);
	return true;
}

/**
 * mytun_frame_finish - make a frame what the stack expects
 * @queue:    where the frame came from
 * @device:   of @queue; the caller sees to it that it stays
 * @skb:      the frame, with its headers in the linear part
 * @header:   @vnet and its offsets say what is left to do to it
 * @protocol: on a TUN device
 *
 * No more is checked than stock tun does, but for tunnels.
 *
 * Return: false if the frame was refused: counted, and freed with a reason.
 */
bool mytun_frame_finish(struct mytun_queue *queue, struct mytun_device *device,
			struct sk_buff *skb, const struct mytun_frame *header,
			__be16 protocol)
{
	lockdep_assert_in_softirq();
	return __mytun_frame_finish(queue, device, skb, header, &protocol);
}

/* What only a struct mytun_frame says, or promises, of a frame */
static __always_inline bool
mytun_frame_match(struct mytun_queue *queue, struct mytun_device *device,
		  struct sk_buff *skb, const struct mytun_frame *header)
{
	if (!(READ_ONCE(device->flags) & IFF_TAP) && !mytun_frame_ip_complete(skb))
		return mytun_frame_refuse_skb(queue, device, skb,
					      MYTUN_TX_REFUSED_LENGTH);
	if (!mytun_vnet_matches(skb))
		return mytun_frame_refuse_skb(queue, device, skb,
					      MYTUN_TX_REFUSED_VNET);
	if (header->flags & MYTUN_FRAME_HASH)
		__skb_set_sw_hash(skb, header->hash, true);
	return true;
}

/*
 * Of a checksum that is complete the process may know that it is right: the stack
 * need not sum up the frame. By a lie it gains next to nothing: it could have said
 * that the checksum is to be filled in. A super-packet's segments are summed up in
 * any case
 */
static __always_inline void mytun_frame_believe(struct sk_buff *skb,
						const struct mytun_frame *header)
{
	if (header->vnet.flags & VIRTIO_NET_HDR_F_DATA_VALID &&
	    skb->ip_summed == CHECKSUM_NONE && !skb_is_gso(skb))
		skb->ip_summed = CHECKSUM_UNNECESSARY;
}

/**
 * mytun_frame_finish_xdp - make a frame what the stack expects, if a program agrees
 * @queue:  where the frame came from
 * @device: of @queue, a TAP device; the caller sees to it that it stays
 * @run:    begun, in the same section without bottom halves
 * @skb:    the frame, with its headers in the linear part
 * @header: @vnet and its offsets say what is left to do to it
 *
 * Return: the frame, maybe in another skb; NULL if the program took it; EINVAL
 * if it was refused: counted, and freed with a reason.
 */
struct sk_buff *mytun_frame_finish_xdp(struct mytun_queue *queue,
				       struct mytun_device *device,
				       struct mytun_xdp_run *run,
				       struct sk_buff *skb,
				       const struct mytun_frame *header)
{
	bool native = mytun_xdp_is_native(skb, header);
	struct net_device *dev = device->dev;

	lockdep_assert_in_softirq();
	if (native && run->program) {
		skb = mytun_xdp_native(queue, dev, run, skb);
		if (!skb)
			return NULL;
	}
	if (!mytun_frame_finish(queue, device, skb, header, 0))
		return ERR_PTR(-EINVAL);
	if (native)
		return skb;
	/* without a program it passes */
	return mytun_xdp_generic(queue, dev, run, skb);
}

/* NULL also if the program took the frame */
static struct sk_buff *mytun_frame_complete_xdp(struct mytun_queue *queue,
						struct mytun_device *device,
						struct mytun_xdp_run *run,
						const struct mytun_frame *header,
						struct sk_buff *skb)
{
	skb = mytun_frame_finish_xdp(queue, device, run, skb, header);
	if (IS_ERR_OR_NULL(skb) ||
	    !mytun_frame_match(queue, device, skb, header))
		return NULL;
	return skb;
}

/*
 * The rest, of a frame whose header is sound: a complete skb for the stack, or
 * NULL: counted, and freed with a reason
 */
static __always_inline struct sk_buff *
mytun_frame_complete(struct mytun_queue *queue, struct mytun_device *device,
		     struct mytun_xdp_run *run,
		     const struct mytun_frame *header, struct sk_buff *skb)
{
	if (unlikely(run->program))
		return mytun_frame_complete_xdp(queue, device, run, header,
						skb);
	if (!__mytun_frame_finish(queue, device, skb, header, NULL) ||
	    !mytun_frame_match(queue, device, skb, header))
		return NULL;
	mytun_frame_believe(skb, header);
	return skb;
}

/* Is a frame of the ring worth a copy? If not, it is counted */
static __always_inline bool
mytun_frame_is_wanted(struct mytun_queue *queue, struct mytun_device *device,
		      const struct mytun_frame *header)
{
	if (!mytun_frame_header_valid(queue, device, header))
		return false;
	if (device->dev->flags & IFF_UP)
		return true;
	mytun_frame_drop(queue, device, MYTUN_TX_DROPPED_DOWN);
	return false;
}

/* By the tasklet: out of the ring, past the program of @run if it has one */
struct sk_buff *mytun_frame_receive(struct mytun_queue *queue,
				    struct mytun_xdp_run *run,
				    const struct mytun_frame *header,
				    const void *payload)
{
	struct mytun_device *device = queue->device;
	struct sk_buff *skb;

	if (!mytun_frame_is_wanted(queue, device, header))
		return NULL;
	skb = likely(!run->program) ?
	      mytun_frame_copy(queue, payload, header->length) :
	      mytun_frame_copy_xdp(queue, payload, header->length);
	return skb ? mytun_frame_complete(queue, device, run, header, skb) :
		     NULL;
}

/* The same of a frame that is in an skb already, which is this function's */
struct sk_buff *mytun_frame_accept(struct mytun_queue *queue,
				   struct mytun_device *device,
				   struct mytun_xdp_run *run,
				   const struct mytun_frame *header,
				   struct sk_buff *skb)
{
	if (mytun_frame_header_valid(queue, device, header))
		return mytun_frame_complete(queue, device, run, header, skb);
	kfree_skb_reason(skb, SKB_DROP_REASON_DEV_HDR);
	return NULL;
}
