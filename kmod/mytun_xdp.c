// SPDX-License-Identifier: GPL-2.0
/*
 * An XDP program meets frames of the process
 *
 * A frame that fits into a page and needs no more work is met natively: it has
 * been copied behind headroom of its own, and the program runs before the stack's
 * metadata is made. All others are met as skbs, as by the kernel's own generic
 * XDP: only an skb can say that a checksum is to be filled in or that a packet is
 * to be cut, and stay true when the program moves the frame's beginning.
 *
 * The program runs in the tasklet or in write(), with bottom halves off, on
 * memory that the process never sees. It is the one that the run began with:
 * another, or none, is for the next run.
 *
 * TAP devices only: see docs/compatibility.md.
 */

#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>

#include "mytun.h"

#define MYTUN_XDP_HEADROOM	(XDP_PACKET_HEADROOM + NET_IP_ALIGN)
#define MYTUN_XDP_TAILROOM	SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

/* The queue gets no frame before this */
int mytun_xdp_start(struct mytun_queue *queue)
{
	struct xdp_rxq_info *rxq = &queue->xdp_rxq;
	int err;

	ASSERT_RTNL();
	err = xdp_rxq_info_reg(rxq, queue->device->dev, queue->index, 0);
	if (err)
		return err;
	err = xdp_rxq_info_reg_mem_model(rxq, MEM_TYPE_PAGE_SHARED, NULL);
	if (err)
		xdp_rxq_info_unreg(rxq);
	return err;
}

/* When neither the tasklet nor a write() has frames any more */
void mytun_xdp_stop(struct mytun_queue *queue)
{
	ASSERT_RTNL();
	xdp_rxq_info_unreg(&queue->xdp_rxq);
}

/*
 * The reference is the device's from here on. Who runs the program
 * before still may: it is freed after a grace period. As a device goes, this is
 * asked to take the program away.
 */
static void mytun_xdp_set(struct mytun_device *device, struct bpf_prog *program)
{
	struct bpf_prog *old;

	ASSERT_RTNL();
	old = rcu_replace_pointer(device->xdp_program, program,
				  lockdep_rtnl_is_held());
	if (old)
		bpf_prog_put(old);
}

int mytun_xdp_bpf(struct net_device *dev, struct netdev_bpf *bpf)
{
	switch (bpf->command) {
	case XDP_SETUP_PROG:
		mytun_xdp_set(netdev_priv(dev), bpf->prog);
		return 0;
	case XDP_SETUP_PROG_HW:
		NL_SET_ERR_MSG_MOD(bpf->extack,
				   "There is no hardware to offload to: attach the program in native mode (xdpdrv)");
		return -EINVAL;
	default:
		return -EINVAL;
	}
}

static unsigned int mytun_xdp_buffer_size(u32 length)
{
	return SKB_DATA_ALIGN(MYTUN_XDP_HEADROOM + length) +
	       MYTUN_XDP_TAILROOM;
}

/* Is there room for the frame where a program can meet it natively? */
bool mytun_xdp_has_room(u32 length)
{
	return length <= PAGE_SIZE && mytun_xdp_buffer_size(length) <= PAGE_SIZE;
}

/* A guess, before a frame is copied: no harm is done if it is wrong */
bool mytun_xdp_is_expected(struct mytun_queue *queue)
{
	struct mytun_device *device;
	bool expected;

	rcu_read_lock();
	device = rcu_dereference(queue->io_device);
	expected = device && rcu_access_pointer(device->xdp_program);
	rcu_read_unlock();
	return expected;
}

/* A fragment of a page, with an skb around it. Any context but hardirq */
struct sk_buff *mytun_xdp_alloc(u32 length)
{
	unsigned int size = mytun_xdp_buffer_size(length);
	void *buffer = netdev_alloc_frag(size);
	struct sk_buff *skb;

	if (!buffer)
		return NULL;
	skb = build_skb(buffer, size);
	if (!skb) {
		skb_free_frag(buffer);
		return NULL;
	}
	skb_reserve(skb, MYTUN_XDP_HEADROOM);
	skb_put(skb, length);
	return skb;
}

/*
 * Only what was copied when there was a program, or when one was expected, is
 * in a fragment, which can go its way without the skb. So are frames of the pool,
 * without the headroom: those come here never, having been copied because there was
 * no program in a run that still has none.
 */
bool mytun_xdp_is_native(const struct sk_buff *skb,
			 const struct mytun_frame *header)
{
	return skb->head_frag && skb->len >= ETH_HLEN &&
	       mytun_vnet_is_done(&header->vnet);
}

static void mytun_xdp_prepare(struct xdp_buff *xdp, struct mytun_queue *queue,
			      const struct sk_buff *skb)
{
	xdp_init_buff(xdp, skb_end_offset(skb) + MYTUN_XDP_TAILROOM,
		      &queue->xdp_rxq);
	xdp_prepare_buff(xdp, skb->head, skb_headroom(skb), skb->len, true);
}

/* The frame is what the program left of it; its protocol is not yet known */
static void mytun_xdp_pass(struct sk_buff *skb, const struct xdp_buff *xdp)
{
	unsigned int metadata = xdp->data - xdp->data_meta;

	skb->data = xdp->data;
	skb->len = 0;
	skb_reset_tail_pointer(skb);
	__skb_put(skb, xdp->data_end - xdp->data);
	if (metadata)
		skb_metadata_set(skb, metadata);
}

static bool mytun_xdp_send_back(struct net_device *dev, struct xdp_buff *xdp)
{
	struct xdp_frame *frame = xdp_convert_buff_to_frame(xdp);

	return frame && mytun_xdp_xmit(dev, 1, &frame, XDP_XMIT_FLUSH) > 0;
}

/* The buffer, which has lost its skb, goes elsewhere, or back if it can't */
static void mytun_xdp_forward(struct net_device *dev, struct mytun_xdp_run *run,
			      struct xdp_buff *xdp, u32 act)
{
	unsigned int length = xdp->data_end - xdp->data;
	bool done;

	if (act == XDP_TX) {
		done = mytun_xdp_send_back(dev, xdp);
	} else {
		done = !xdp_do_redirect(dev, xdp, run->program);
		run->flush |= done;
	}
	if (done) {
		dev_sw_netstats_rx_add(dev, length);
	} else {
		xdp_return_buff(xdp);
		dev_core_stats_rx_dropped_inc(dev);
	}
}

/* NULL if the program took the frame */
struct sk_buff *mytun_xdp_native(struct mytun_queue *queue,
				 struct net_device *dev,
				 struct mytun_xdp_run *run,
				 struct sk_buff *skb)
{
	struct xdp_buff xdp;
	u32 act;

	mytun_xdp_prepare(&xdp, queue, skb);
	act = bpf_prog_run_xdp(run->program, &xdp);
	if (likely(act == XDP_PASS)) {
		mytun_xdp_pass(skb, &xdp);
		return skb;
	}

	atomic64_inc(mytun_counter(queue, MYTUN_TX_XDP));
	switch (act) {
	case XDP_TX:
	case XDP_REDIRECT:
		kfree_skb_partial(skb, true);
		mytun_xdp_forward(dev, run, &xdp, act);
		return NULL;
	default:
		bpf_warn_invalid_xdp_action(dev, run->program, act);
		fallthrough;
	case XDP_ABORTED:
		trace_xdp_exception(dev, run->program, act);
		fallthrough;
	case XDP_DROP:
		break;
	}
	kfree_skb_reason(skb, SKB_DROP_REASON_XDP);
	dev_core_stats_rx_dropped_inc(dev);
	return NULL;
}

/*
 * The same of a finished frame. What became of one that was taken is not told,
 * so it counts as neither received nor dropped, as for stock tun.
 */
struct sk_buff *mytun_xdp_generic(struct mytun_queue *queue,
				  struct net_device *dev,
				  struct mytun_xdp_run *run,
				  struct sk_buff *skb)
{
	if (mytun_do_xdp_generic(run->program, &skb) != XDP_PASS) {
		atomic64_inc(mytun_counter(queue, MYTUN_TX_XDP));
		return NULL;
	}
	if (likely(mytun_vnet_fits(skb) &&
		   (!skb->encapsulation || mytun_tunnel_matches(skb))))
		return skb;

	/* the program has cut away what the checksum, or a tunnel, was to cover */
	atomic64_inc(mytun_counter(queue, MYTUN_TX_XDP));
	kfree_skb_reason(skb, SKB_DROP_REASON_XDP);
	dev_core_stats_rx_dropped_inc(dev);
	return NULL;
}

