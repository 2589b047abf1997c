// SPDX-License-Identifier: GPL-2.0
/*
 * From skbs to the stack
 *
 * What can be merged goes through GRO, so that the layers above see one large
 * packet where the process sent many; the rest goes up as a list, so that what
 * one packet's route costs is not paid again by the next.
 *
 * GRO lives in NAPI. The queue has an instance of its own, which is never
 * scheduled: the tasklet, or who writes many frames with one call, claims it for
 * a run and completes it, as tun does for its fragments, so nothing is held back
 * longer than a run.
 */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netdevice.h>

#include "mytun.h"

/* Never: nobody schedules the instance. NAPI wants one all the same */
static int mytun_napi_poll(struct napi_struct *napi, int budget)
{
	napi_complete_done(napi, 0);
	return 0;
}

void mytun_deliver_start(struct mytun_queue *queue)
{
	ASSERT_RTNL();
	netif_napi_add_tx(queue->device->dev, &queue->napi, mytun_napi_poll);
	napi_enable(&queue->napi);
}

/*
 * After the tasklet was killed. Readers may still see the instance: nothing
 * becomes of it before a grace period has passed.
 */
void mytun_deliver_stop(struct mytun_queue *queue)
{
	ASSERT_RTNL();
	napi_disable(&queue->napi);
	__netif_napi_del(&queue->napi);
}

static bool mytun_is_udp(const struct sk_buff *skb)
{
	if (skb->protocol == htons(ETH_P_IP))
		return skb_headlen(skb) >= sizeof(struct iphdr) &&
		       ((struct iphdr *)skb->data)->protocol == IPPROTO_UDP;
	if (skb->protocol == htons(ETH_P_IPV6))
		return skb_headlen(skb) >= sizeof(struct ipv6hdr) &&
		       ((struct ipv6hdr *)skb->data)->nexthdr == IPPROTO_UDP;
	return false;
}

/*
 * UDP is merged only for a socket or a device that asked for it: otherwise GRO
 * would be a detour. The packets of a flow all go the same way.
 */
static bool mytun_is_gro_wanted(const struct sk_buff *skb)
{
	netdev_features_t features = skb->dev->features;

	if (!(features & NETIF_F_GRO))
		return false;
	/* a tunnel's super-packet would not be merged, and lose its headers' places */
	if (skb->encapsulation)
		return false;
	if (!mytun_is_udp(skb))
		return true;
	return mytun_udp_gro_needed() ||
	       features & (NETIF_F_GRO_FRAGLIST | NETIF_F_GRO_UDP_FWD);
}

/*
 * What write() has charged says so to GRO: frames of one charge alone are merged,
 * and each is given back once. Not so what is in pages: GRO makes one piece of its
 * headers, which changes its size and leaves the charge as it was. That ends here
 */
static void mytun_deliver_settle(struct sk_buff *skb)
{
	if (skb_is_nonlinear(skb))
		skb_orphan(skb);
	else
		skb_prepare_for_gro(skb);
}

/* Held back until mytun_deliver_end(), unless somebody else has the instance */
static void mytun_deliver_gro(struct mytun_queue *queue, struct sk_buff *skb,
			      bool *gro)
{
	*gro = *gro || napi_schedule_prep(&queue->napi);
	if (!*gro) {
		netif_receive_skb(skb);
		return;
	}
	if (unlikely(skb->sk))
		mytun_deliver_settle(skb);
	napi_gro_receive(&queue->napi, skb);
}

/*
 * As often as the caller likes in a run, whose @gro is false at first. The list
 * is empty afterwards.
 */
void mytun_deliver(struct mytun_queue *queue, struct mytun_device *device,
		   struct sk_buff_head *skbs, bool *gro)
{
	struct sk_buff *skb;
	LIST_HEAD(plain);

	lockdep_assert_in_softirq();
	if (mytun_flows_wanted(queue, device))
		skb_queue_walk(skbs, skb)
			mytun_flows_remember(queue, device, skb);
	while ((skb = __skb_dequeue(skbs))) {
		if (mytun_is_gro_wanted(skb))
			mytun_deliver_gro(queue, skb, gro);
		else
			list_add_tail(&skb->list, &plain);
	}
	netif_receive_skb_list(&plain);
}

/* At the end of a run: nothing is held back any longer */
void mytun_deliver_end(struct mytun_queue *queue, bool gro)
{
	lockdep_assert_in_softirq();
	if (gro)
		napi_complete(&queue->napi);
}
