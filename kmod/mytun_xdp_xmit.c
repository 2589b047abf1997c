// SPDX-License-Identifier: GPL-2.0
/*
 * Frames that XDP programs send to the process
 *
 * A program on another device redirects a frame to this one, or the device's own
 * sends one back. Such a frame becomes an skb around the same memory and goes
 * the way of all that the stack sends: the filters, the limit of the device's
 * queue and the statistics are the same for it. With back-pressure the stack's
 * senders are held for its sake; it is not, as nobody would hold it.
 */

#include <linux/etherdevice.h>

#include "mytun.h"

/* By CPU, as by stock tun. False if there is no queue */
static bool mytun_xdp_choose(const struct mytun_device *device, u16 *index)
{
	unsigned int attached = READ_ONCE(device->attached);

	if (!attached)
		return false;
	*index = READ_ONCE(device->live[smp_processor_id() % attached]);
	return true;
}

/* Without a link header it is no frame; no memory for the skb: NULL, too */
static struct sk_buff *mytun_xdp_to_skb(struct xdp_frame *frame,
					struct net_device *dev)
{
	struct sk_buff *skb;

	if (frame->len < ETH_HLEN)
		return NULL;
	skb = xdp_build_skb_from_frame(frame, dev);
	if (!skb)
		return NULL;
	skb_reset_network_header(skb);
	__skb_push(skb, ETH_HLEN);
	return skb;
}

/* The frame is gone afterwards, and counted if it was dropped */
static void mytun_xdp_send(struct net_device *dev, struct xdp_frame *frame,
			   u16 index)
{
	struct sk_buff *skb = mytun_xdp_to_skb(frame, dev);

	if (!skb) {
		xdp_return_frame(frame);
		dev_core_stats_tx_dropped_inc(dev);
		return;
	}
	skb_set_queue_mapping(skb, index);
	mytun_xmit(skb, dev);
}

/*
 * A frame that is dropped is not given back: all but the
 * caller's own mistakes, or a device that can take none, is this device's to
 * count. Nothing waits for XDP_XMIT_FLUSH.
 */
int mytun_xdp_xmit(struct net_device *dev, int n, struct xdp_frame **frames,
		   u32 flags)
{
	u16 index;
	int i;

	lockdep_assert_in_softirq();
	if (unlikely(flags & ~XDP_XMIT_FLAGS_MASK))
		return -EINVAL;
	if (unlikely(!netif_running(dev)))
		return -ENETDOWN;
	if (unlikely(!mytun_xdp_choose(netdev_priv(dev), &index)))
		return -ENXIO;
	for (i = 0; i < n; i++)
		mytun_xdp_send(dev, frames[i], index);
	return n;
}
