// SPDX-License-Identifier: GPL-2.0
/*
 * What the stack sends
 *
 * From ndo_start_xmit to a queue: what the process is not to get is dropped with a
 * reason, and the rest is made a frame that can stay. mytun_rx.c has it next.
 */

#include <linux/if_vlan.h>
#include <linux/netfilter.h>

#include "mytun.h"

/* A tag beside the frame becomes bytes of it, as all that the process gets */
static int mytun_xmit_put_tag(struct sk_buff *skb)
{
	int err = __vlan_insert_tag(skb, skb->vlan_proto,
				    skb_vlan_tag_get(skb));

	if (!err)
		__vlan_hwaccel_clear_tag(skb);
	return err;
}

static enum skb_drop_reason mytun_xmit_queue(struct mytun_device *device,
					     struct mytun_queue *queue,
					     struct sk_buff *skb)
{
	enum skb_drop_reason reason;

	if (!queue || READ_ONCE(queue->state))
		return SKB_DROP_REASON_DEV_READY;
	if (unlikely(READ_ONCE(device->screened))) {
		reason = mytun_filter_pass(queue, skb);
		if (reason != SKB_NOT_DROPPED_YET)
			return reason;
	}
	if (unlikely(skb_vlan_tag_present(skb)) && mytun_xmit_put_tag(skb))
		return SKB_DROP_REASON_NOMEM;
	if (skb->len > MYTUN_FRAME_MAX)
		return SKB_DROP_REASON_PKT_TOO_BIG;
	if (skb_orphan_frags_rx(skb, GFP_ATOMIC))
		return SKB_DROP_REASON_SKB_UCOPY_FAULT;

	skb_tx_timestamp(skb);
	/* it may stay long: do not hold up the sender's socket or conntrack */
	skb_orphan(skb);
	nf_reset_ct(skb);
	if (!mytun_rx_enqueue(queue, skb))
		return SKB_DROP_REASON_FULL_RING;
	return SKB_NOT_DROPPED_YET;
}

netdev_tx_t mytun_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct mytun_device *device = netdev_priv(dev);
	enum skb_drop_reason reason;
	struct mytun_queue *queue;

	rcu_read_lock();
	queue = rcu_dereference(device->queues[skb_get_queue_mapping(skb)]);
	reason = mytun_xmit_queue(device, queue, skb);
	rcu_read_unlock();

	if (likely(reason == SKB_NOT_DROPPED_YET))
		return NETDEV_TX_OK;
	skb_tx_error(skb);
	kfree_skb_reason(skb, reason);
	dev_core_stats_tx_dropped_inc(dev);
	return NET_XMIT_DROP;
}
