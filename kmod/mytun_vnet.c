// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio_net_hdr in a frame's header: checksum and segmentation metadata
 *
 * In the tx direction the header given here is the kernel's own copy, and all
 * in it is the process's word: it is checked against the frame, and an skb that
 * claims to be a super-packet is marked as not to be trusted, as for tun.
 */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/swab.h>
#include <linux/virtio_byteorder.h>
#include <linux/virtio_net.h>
#include <net/flow_dissector.h>
#include <net/ip.h>

#include "mytun.h"

/*
 * No headers are longer, in front of a checksum that is to be filled in. The
 * kernel's own functions make one piece of memory of all that is before it,
 * however much that is, and print what they think of one that lies further behind
 */
#define MYTUN_HEADERS_MAX	16384U

static bool mytun_vnet_is_plain(const struct virtio_net_hdr_v1 *vnet)
{
	const u32 *words = (const u32 *)vnet;

	BUILD_BUG_ON(sizeof(*vnet) != 3 * sizeof(*words));
	return !(words[0] | words[1] | words[2]);
}

/* Little endian. True if nothing is left to do to the frame */
bool mytun_vnet_is_done(const struct virtio_net_hdr_v1 *vnet)
{
	return vnet->gso_type == VIRTIO_NET_HDR_GSO_NONE &&
	       !(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
}

/* In read and write the device's order may be another; in rings it never is */
static bool mytun_vnet_is_little_endian(const struct mytun_device *device)
{
	if (READ_ONCE(device->vnet_le))
		return true;
	return !READ_ONCE(device->vnet_be) && virtio_legacy_is_little_endian();
}

/* How read and write lay frames out at this moment; under RCU */
void mytun_format_of(const struct mytun_device *device,
		     struct mytun_format *format)
{
	format->flags = READ_ONCE(device->flags);
	format->vnet_size = format->flags & IFF_VNET_HDR ?
			    READ_ONCE(device->vnet_size) : 0;
	format->little_endian = mytun_vnet_is_little_endian(device);
}

/* The same by who has no device at hand. False: there is none */
bool mytun_format_get(struct mytun_queue *queue, struct mytun_format *format)
{
	struct mytun_device *device;

	rcu_read_lock();
	device = rcu_dereference(queue->io_device);
	if (device)
		mytun_format_of(device, format);
	rcu_read_unlock();
	return device;
}

/* From the order of a format to little endian, and back */
void mytun_vnet_convert(const struct mytun_format *format,
			struct virtio_net_hdr_v1 *vnet)
{
	if (format->little_endian)
		return;
	swab16s((__force u16 *)&vnet->hdr_len);
	swab16s((__force u16 *)&vnet->gso_size);
	swab16s((__force u16 *)&vnet->csum_start);
	swab16s((__force u16 *)&vnet->csum_offset);
}

/* Where the checksum that is to be filled in ends; 0 if there is none */
static u32 mytun_vnet_checksum_end(const struct virtio_net_hdr_v1 *vnet)
{
	u32 start = __virtio16_to_cpu(true, vnet->csum_start);
	u32 offset = __virtio16_to_cpu(true, vnet->csum_offset);

	if (!(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;
	return start + offset + sizeof(__sum16);
}

/* Bytes of a frame that must be there if the header is to make sense */
u32 mytun_vnet_headers(const struct virtio_net_hdr_v1 *vnet)
{
	u32 headers = __virtio16_to_cpu(true, vnet->hdr_len);

	return max(headers, mytun_vnet_checksum_end(vnet));
}

/* What the stack may make of the frame, at the most; little endian */
u32 mytun_vnet_segments(const struct mytun_frame *header)
{
	u32 size = __virtio16_to_cpu(true, header->vnet.gso_size);

	if (likely(header->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE))
		return 1;
	return header->length / max(size, 1U) + 1;
}

static unsigned int mytun_vnet_flags(const struct virtio_net_hdr_v1 *vnet)
{
	unsigned int flags = VIRTIO_NET_HDR_F_NEEDS_CSUM |
			     VIRTIO_NET_HDR_F_DATA_VALID;

	if (unlikely(mytun_vnet_is_tunnel(vnet)))
		flags |= VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM;
	return flags;
}

/* False if the header does not fit a frame of @length bytes, or the device */
bool mytun_vnet_valid(const struct mytun_device *device,
		      const struct mytun_frame *header)
{
	const struct virtio_net_hdr_v1 *vnet = &header->vnet;

	if (mytun_vnet_is_plain(vnet))
		return true;
	if (!(READ_ONCE(device->flags) & IFF_VNET_HDR))
		return false;
	if (vnet->flags & ~mytun_vnet_flags(vnet))
		return false;
	return mytun_vnet_headers(vnet) <= header->length;
}

/* Before the link header is taken off: offsets count from the frame's start */
int mytun_vnet_apply(struct sk_buff *skb, const struct mytun_frame *header)
{
	const struct virtio_net_hdr_v1 *from = &header->vnet;
	struct virtio_net_hdr vnet;

	if (mytun_vnet_is_plain(from))
		return 0;
	if (mytun_vnet_checksum_end(from) > MYTUN_HEADERS_MAX)
		return -EINVAL;
	if (unlikely(mytun_vnet_is_tunnel(from)))
		return mytun_tunnel_apply(skb, header);
	memcpy(&vnet, from, sizeof(vnet));
	return mytun_virtio_to_skb(skb, &vnet);
}

static bool mytun_vnet_is_ip(const struct flow_keys_basic *keys)
{
	return keys->basic.n_proto == htons(ETH_P_IP) ||
	       keys->basic.n_proto == htons(ETH_P_IPV6);
}

/*
 * With the protocol known: does the checksum cover nothing of the link header or
 * of the outermost IP header? It may be that of any packet within, whatever
 * tunnel made it: what the device hands out it takes back. Of what is in a frame
 * that is not IP nothing is known.
 */
static bool mytun_vnet_matches_plain(const struct sk_buff *skb,
				     const struct flow_keys_basic *keys,
				     bool dissected)
{
	int start = skb_checksum_start_offset(skb);

	if (!dissected)
		return !mytun_vnet_is_ip(keys) && start >= 0;
	return start >= keys->control.thoff;
}

/*
 * Is a super-packet's protocol one that can be segmented as claimed, and begins
 * where the checksum does? Fragmentation (SKB_GSO_UDP) is no claim that a process
 * was ever invited to make.
 */
static bool mytun_vnet_matches_super(const struct sk_buff *skb,
				     const struct flow_keys_basic *keys)
{
	if (skb->ip_summed == CHECKSUM_PARTIAL &&
	    skb_checksum_start_offset(skb) != keys->control.thoff)
		return false;
	return mytun_vnet_is_protocol(keys, skb_shinfo(skb)->gso_type);
}

static bool mytun_vnet_is_transport(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/*
 * As the dissector would, of the packets that nearly all are: TCP or UDP right
 * behind an IP header without options
 */
static bool mytun_vnet_dissect_plain(const struct sk_buff *skb,
				     struct flow_keys_basic *keys)
{
	const struct ipv6hdr *ip6 = (const void *)skb->data;
	const struct iphdr *ip = (const void *)skb->data;

	keys->basic.n_proto = skb->protocol;
	if (skb->protocol == htons(ETH_P_IP)) {
		keys->control.thoff = sizeof(*ip);
		if (skb_headlen(skb) < sizeof(*ip) || ip->version != 4 ||
		    ip->ihl != 5 || ip_is_fragment(ip))
			return false;
		keys->basic.ip_proto = ip->protocol;
	} else {
		keys->control.thoff = sizeof(*ip6);
		if (skb->protocol != htons(ETH_P_IPV6) ||
		    skb_headlen(skb) < sizeof(*ip6) || ip6->version != 6)
			return false;
		keys->basic.ip_proto = ip6->nexthdr;
	}
	return mytun_vnet_is_transport(keys->basic.ip_proto);
}

static bool mytun_vnet_dissect(const struct sk_buff *skb,
			       struct flow_keys_basic *keys)
{
	return mytun_vnet_dissect_plain(skb, keys) ||
	       skb_flow_dissect_flow_keys_basic(NULL, skb, keys, NULL, 0, 0, 0,
						FLOW_DISSECTOR_F_STOP_BEFORE_ENCAP);
}

/* Of a frame whose protocol is known: can what it claims be so? */
bool mytun_vnet_matches(const struct sk_buff *skb)
{
	struct flow_keys_basic keys;
	bool dissected;

	if (!skb_is_gso(skb) && skb->ip_summed != CHECKSUM_PARTIAL)
		return true;
	/* it was looked at before */
	if (unlikely(skb->encapsulation))
		return true;
	dissected = mytun_vnet_dissect(skb, &keys);
	if (!skb_is_gso(skb))
		return mytun_vnet_matches_plain(skb, &keys, dissected);
	return dissected && mytun_vnet_matches_super(skb, &keys);
}

/* What the process is to know of @skb, which is about to enter the rx ring */
int mytun_vnet_describe(const struct sk_buff *skb, struct mytun_frame *header)
{
	int err = mytun_virtio_from_skb(skb,
					(struct virtio_net_hdr *)&header->vnet);

	if (unlikely(!err && header->vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE &&
		     mytun_tunnel_is_super(skb)))
		err = mytun_tunnel_describe(skb, header);
	return err;
}
