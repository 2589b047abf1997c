// SPDX-License-Identifier: GPL-2.0
/*
 * Super-packets within a UDP tunnel: VXLAN, Geneve and their like
 *
 * What is to be cut is the packet within, and each piece gets a copy of all that
 * is in front of it. Which tunnel it is nobody knows here: between the outer UDP
 * header and the IP header within may be anything.
 *
 * The stack believes where an skb says that its headers are, and cuts by it. So
 * in the tx direction all of them are looked at, by write() too: stock tun takes
 * the process's word for what is at these places.
 */

#include <linux/skbuff.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/checksum.h>
#include <net/flow_dissector.h>

#include "mytun.h"

#define MYTUN_TUNNELS	(SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM)

bool mytun_tunnel_is_super(const struct sk_buff *skb)
{
	return skb_shinfo(skb)->gso_type & MYTUN_TUNNELS;
}

/* Whole datagrams of UDP alone can be a tunnel's */
static bool mytun_tunnel_find_outer(const struct sk_buff *skb,
				    struct flow_keys_basic *keys)
{
	return skb_flow_dissect_flow_keys_basic(NULL, skb, keys, NULL, 0, 0, 0,
						FLOW_DISSECTOR_F_STOP_BEFORE_ENCAP) &&
	       keys->basic.ip_proto == IPPROTO_UDP &&
	       !(keys->control.flags & FLOW_DIS_IS_FRAGMENT);
}

/* From the IP header within, which is in the linear part */
static bool mytun_tunnel_find_inner(const struct sk_buff *skb, int offset,
				    struct flow_keys_basic *keys)
{
	const struct iphdr *ip = (struct iphdr *)(skb->data + offset);
	__be16 protocol = htons(ip->version == 6 ? ETH_P_IPV6 : ETH_P_IP);

	if (ip->version != 4 && ip->version != 6)
		return false;
	return skb_flow_dissect_flow_keys_basic(NULL, skb, keys, skb->data,
						protocol, offset,
						skb_headlen(skb),
						FLOW_DISSECTOR_F_STOP_BEFORE_ENCAP) &&
	       !(keys->control.flags & FLOW_DIS_IS_FRAGMENT);
}

static u8 mytun_tunnel_transport(const struct sk_buff *skb)
{
	switch (skb->csum_offset) {
	case offsetof(struct tcphdr, check):
		return IPPROTO_TCP;
	case offsetof(struct udphdr, check):
		return IPPROTO_UDP;
	default:
		return IPPROTO_RAW;
	}
}

/* Is there a packet whose transport header is where its checksum begins? */
static bool mytun_tunnel_has_inner(const struct sk_buff *skb)
{
	int transport = skb_checksum_start_offset(skb);
	int network = skb_inner_network_offset(skb);
	struct flow_keys_basic keys;

	if (network + (int)sizeof(struct iphdr) > transport ||
	    !mytun_tunnel_find_inner(skb, network, &keys) ||
	    keys.control.thoff != transport ||
	    keys.basic.ip_proto != mytun_tunnel_transport(skb))
		return false;
	return !skb_is_gso(skb) ||
	       mytun_vnet_is_protocol(&keys, skb_shinfo(skb)->gso_type);
}

/*
 * Where the tunnel's UDP header is, and the protocol of the header before it.
 * EINVAL if the frame is not what a tunnel's skb has to be. All of @skb that
 * its checksum needs is linear.
 */
static int mytun_tunnel_locate(const struct sk_buff *skb, __be16 *protocol)
{
	struct flow_keys_basic keys;

	if (skb->ip_summed != CHECKSUM_PARTIAL || !mytun_vnet_fits(skb) ||
	    !mytun_tunnel_find_outer(skb, &keys))
		return -EINVAL;
	if (skb_inner_network_offset(skb) <
	    keys.control.thoff + (int)sizeof(struct udphdr))
		return -EINVAL;
	if (!mytun_tunnel_has_inner(skb))
		return -EINVAL;
	*protocol = keys.basic.n_proto;
	return keys.control.thoff;
}

/* After a program that may have changed it: is the frame what its skb says? */
bool mytun_tunnel_matches(const struct sk_buff *skb)
{
	__be16 protocol;

	return mytun_tunnel_locate(skb, &protocol) == skb_transport_offset(skb);
}

/* Which header is around the tunnel's UDP header; 0 if the process says both */
static __be16 mytun_tunnel_protocol(const struct virtio_net_hdr_v1 *vnet)
{
	switch (vnet->gso_type & VIRTIO_NET_HDR_GSO_UDP_TUNNEL) {
	case VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4:
		return htons(ETH_P_IP);
	case VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6:
		return htons(ETH_P_IPV6);
	default:
		return 0;
	}
}

/* Can a tunnel have what is said to be within? Its checksum must be left to do */
static bool mytun_tunnel_is_possible(const struct virtio_net_hdr_v1 *vnet)
{
	unsigned int within = vnet->gso_type & ~(VIRTIO_NET_HDR_GSO_UDP_TUNNEL |
						 VIRTIO_NET_HDR_GSO_ECN);

	return vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	       within != VIRTIO_NET_HDR_GSO_NONE &&
	       within != VIRTIO_NET_HDR_GSO_UDP;
}

/*
 * The headers as the kernel's own tunnels leave them, but that the inner link
 * header is taken for a part of the tunnel's
 */
static void mytun_tunnel_set_headers(struct sk_buff *skb,
				     const struct mytun_frame *header)
{
	int network = le16_to_cpu(header->inner_nh_offset);

	skb_set_inner_transport_header(skb, skb_checksum_start_offset(skb));
	skb_set_inner_network_header(skb, network);
	skb_set_inner_mac_header(skb, network);
	skb_set_transport_header(skb, le16_to_cpu(header->outer_th_offset));
	skb->encapsulation = 1;
}

/*
 * Of a frame that turned out to be one segment: nobody will cut it, so nobody
 * else computes the outer checksum. The sum of the pseudo header is there, and
 * what the inner checksum covers adds up to a sum that is there too.
 */
static void mytun_tunnel_complete(struct sk_buff *skb)
{
	struct udphdr *udp = udp_hdr(skb);

	udp->check = csum_fold(lco_csum(skb)) ?: CSUM_MANGLED_0;
}

/*
 * What @header says of a frame with a tunnel: EINVAL if that is not so. The
 * frame's protocol and its network header are known.
 */
int mytun_tunnel_apply(struct sk_buff *skb, const struct mytun_frame *header)
{
	bool checksum = header->vnet.flags & VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM;
	struct virtio_net_hdr vnet;
	__be16 protocol;
	const u8 *ip;

	if (!mytun_tunnel_is_possible(&header->vnet))
		return -EINVAL;
	memcpy(&vnet, &header->vnet, sizeof(vnet));
	vnet.gso_type &= ~VIRTIO_NET_HDR_GSO_UDP_TUNNEL;
	if (mytun_virtio_to_skb(skb, &vnet))
		return -EINVAL;
	mytun_tunnel_set_headers(skb, header);
	if (mytun_tunnel_locate(skb, &protocol) != skb_transport_offset(skb) ||
	    protocol != mytun_tunnel_protocol(&header->vnet))
		return -EINVAL;

	ip = skb_inner_network_header(skb);
	skb_set_inner_protocol(skb, htons(*ip >> 4 == 6 ? ETH_P_IPV6 :
							  ETH_P_IP));
	if (skb_is_gso(skb))
		skb_shinfo(skb)->gso_type |= checksum ? SKB_GSO_UDP_TUNNEL_CSUM :
							SKB_GSO_UDP_TUNNEL;
	else if (checksum)
		mytun_tunnel_complete(skb);
	return 0;
}

/* EINVAL if the process, or who it sends the frame on to, could not cut it */
int mytun_tunnel_describe(const struct sk_buff *skb, struct mytun_frame *header)
{
	__be16 protocol;
	int transport = mytun_tunnel_locate(skb, &protocol);

	if (transport < 0)
		return transport;
	header->vnet.gso_type |= protocol == htons(ETH_P_IPV6) ?
				 VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6 :
				 VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4;
	if (skb_shinfo(skb)->gso_type & SKB_GSO_UDP_TUNNEL_CSUM)
		header->vnet.flags |= VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM;
	header->outer_th_offset = cpu_to_le16(transport);
	header->inner_nh_offset = cpu_to_le16(skb_inner_network_offset(skb));
	return 0;
}
