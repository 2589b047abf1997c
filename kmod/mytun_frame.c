// SPDX-License-Identifier: GPL-2.0
/*
 * From a header and bytes of the process to an skb
 *
 * The header given here is the kernel's own copy. The payload is still the
 * process's: it is copied before anything looks at it, and nothing in an skb
 * refers to the ring. What does not fit is counted by reason and dropped; the
 * frames behind it are not affected.
 */

#include <linux/etherdevice.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "mytun.h"

/* Up to here a frame is linear; above it headers are, and the rest is pages */
#define MYTUN_LINEAR_MAX	2048
#define MYTUN_LINEAR_HEADERS	256

static void mytun_frame_refuse(struct mytun_queue *queue,
			       enum mytun_counter reason)
{
	mytun_count(queue, reason, 1);
	atomic64_inc(&queue->device->rx_errors);
}

/* NULL, for those who return it */
static struct sk_buff *mytun_frame_refuse_skb(struct mytun_queue *queue,
					      struct sk_buff *skb,
					      enum mytun_counter reason)
{
	mytun_frame_refuse(queue, reason);
	kfree_skb_reason(skb, reason == MYTUN_TX_REFUSED_PROTOCOL ?
			      SKB_DROP_REASON_UNHANDLED_PROTO :
			      SKB_DROP_REASON_DEV_HDR);
	return NULL;
}

static void mytun_frame_drop(struct mytun_queue *queue,
			     enum mytun_counter reason)
{
	mytun_count(queue, reason, 1);
	dev_core_stats_rx_dropped_inc(queue->device->dev);
}

static u32 mytun_frame_min(const struct mytun_queue *queue)
{
	return queue->device->flags & IFF_TAP ? ETH_HLEN : 1;
}

/* True if the header is sound; counts the reason if not */
static bool mytun_frame_header_valid(struct mytun_queue *queue,
				     const struct mytun_frame *header)
{
	enum mytun_counter reason;

	if (header->length < mytun_frame_min(queue) ||
	    header->length > MYTUN_FRAME_MAX)
		reason = MYTUN_TX_REFUSED_LENGTH;
	else if (header->flags & ~MYTUN_FRAME_HASH || header->reserved[0] || header->reserved[1])
		reason = MYTUN_TX_REFUSED_FLAGS;
	else if (!mytun_vnet_valid(queue, header))
		reason = MYTUN_TX_REFUSED_VNET;
	else
		return true;

	mytun_frame_refuse(queue, reason);
	return false;
}

static struct sk_buff *mytun_frame_alloc_paged(struct net_device *dev,
					       u32 length)
{
	unsigned int headroom = NET_SKB_PAD + NET_IP_ALIGN;
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(headroom + MYTUN_LINEAR_HEADERS,
				   length - MYTUN_LINEAR_HEADERS,
				   PAGE_ALLOC_COSTLY_ORDER, &err,
				   GFP_ATOMIC | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	skb_put(skb, MYTUN_LINEAR_HEADERS);
	skb->data_len = length - MYTUN_LINEAR_HEADERS;
	skb->len = length;
	skb->dev = dev;
	return skb;
}

/*
 * In softirq context, as the tasklet is: from the CPU's own cache. Not from
 * napi_alloc_skb(): it cuts up pages, which come back only when a whole batch
 * has gone, and are cleared before each use.
 */
static struct sk_buff *mytun_frame_alloc_linear(struct net_device *dev,
						u32 length)
{
	unsigned int headroom = NET_SKB_PAD + NET_IP_ALIGN;
	struct sk_buff *skb;

	skb = __alloc_skb(headroom + length, GFP_ATOMIC | __GFP_NOWARN,
			  SKB_ALLOC_NAPI, NUMA_NO_NODE);
	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	skb_put(skb, length);
	skb->dev = dev;
	return skb;
}

static struct sk_buff *mytun_frame_copy(struct mytun_queue *queue,
					const void *payload, u32 length)
{
	struct sk_buff *skb;

	if (length <= MYTUN_LINEAR_MAX) {
		skb = mytun_frame_alloc_linear(queue->device->dev, length);
		if (skb)
			memcpy(skb->data, payload, length);
	} else {
		skb = mytun_frame_alloc_paged(queue->device->dev, length);
		if (skb)
			skb_store_bits(skb, 0, payload, length);
	}
	if (!skb)
		mytun_frame_drop(queue, MYTUN_TX_DROPPED_MEMORY);
	return skb;
}

/* TUN: the first nibble tells the protocol. 0 if it is none that we carry */
static __be16 mytun_frame_ip_protocol(const struct sk_buff *skb)
{
	switch (skb->data[0] >> 4) {
	case 4:
		return htons(ETH_P_IP);
	case 6:
		return htons(ETH_P_IPV6);
	}
	return 0;
}

static bool mytun_frame_ip_complete(const struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		return skb->len >= sizeof(struct iphdr);
	return skb->len >= sizeof(struct ipv6hdr);
}

static bool mytun_frame_classify_tun(struct mytun_queue *queue,
				     struct sk_buff *skb)
{
	skb->protocol = mytun_frame_ip_protocol(skb);
	if (!skb->protocol) {
		mytun_frame_refuse_skb(queue, skb, MYTUN_TX_REFUSED_PROTOCOL);
		return false;
	}
	if (!mytun_frame_ip_complete(skb)) {
		mytun_frame_refuse_skb(queue, skb, MYTUN_TX_REFUSED_LENGTH);
		return false;
	}
	skb_reset_mac_header(skb);
	return true;
}

/* Set protocol and header offsets. Frees the skb and counts why if it can't */
static bool mytun_frame_classify(struct mytun_queue *queue,
				 struct sk_buff *skb)
{
	if (queue->device->flags & IFF_TAP)
		skb->protocol = eth_type_trans(skb, queue->device->dev);
	else if (!mytun_frame_classify_tun(queue, skb))
		return false;
	skb_reset_network_header(skb);
	return true;
}

/* A complete skb for the stack, or NULL: counted, and freed with a reason */
struct sk_buff *mytun_frame_receive(struct mytun_queue *queue,
				    const struct mytun_frame *header,
				    const void *payload)
{
	struct sk_buff *skb;

	if (!mytun_frame_header_valid(queue, header))
		return NULL;
	if (!(queue->device->dev->flags & IFF_UP)) {
		mytun_frame_drop(queue, MYTUN_TX_DROPPED_DOWN);
		return NULL;
	}
	skb = mytun_frame_copy(queue, payload, header->length);
	if (!skb)
		return NULL;
	if (mytun_vnet_apply(skb, &header->vnet))
		return mytun_frame_refuse_skb(queue, skb, MYTUN_TX_REFUSED_VNET);
	if (!mytun_frame_classify(queue, skb))
		return NULL;
	if (!mytun_vnet_matches(skb))
		return mytun_frame_refuse_skb(queue, skb, MYTUN_TX_REFUSED_VNET);

	if (skb_is_gso(skb) || skb->ip_summed == CHECKSUM_PARTIAL)
		skb_probe_transport_header(skb);
	if (header->flags & MYTUN_FRAME_HASH)
		__skb_set_sw_hash(skb, header->hash, true);
	skb_record_rx_queue(skb, queue->index);
	return skb;
}
