// SPDX-License-Identifier: GPL-2.0
/*
 * A flow's hash
 *
 * Over addresses and ports, the same in both directions, and of nothing but the
 * frame's own bytes: what an skb says of its flow is its sender's, who may change
 * it in the life of a connection.
 *
 * The flow dissector can find these for any packet, but takes half as many
 * instructions for that as all else that an rx frame needs; so the two kinds that
 * nearly all are of are done here: ports right behind an IP header without
 * options. A flow's hash does not depend on which of the two found it.
 */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/skbuff.h>
#include <net/flow_dissector.h>

#include "mytun.h"

/* Of a frame; one with more is hashed by its link header's type */
#define MYTUN_TAGS_MAX	2

static u32 mytun_hash_seed __read_mostly;
static struct flow_dissector mytun_dissector __read_mostly;

/* What the flow dissector is asked for: no label, no tag, which may change */
struct mytun_flow_keys {
	struct flow_dissector_key_control control;
	struct flow_dissector_key_basic basic;
	struct flow_dissector_key_addrs addrs;
	struct flow_dissector_key_ports ports;
};

#define MYTUN_FLOW_KEY(id, member) \
	{ .key_id = FLOW_DISSECTOR_KEY_##id, \
	  .offset = offsetof(struct mytun_flow_keys, member) }

void mytun_hash_setup(void)
{
	static const struct flow_dissector_key keys[] = {
		MYTUN_FLOW_KEY(CONTROL, control),
		MYTUN_FLOW_KEY(BASIC, basic),
		MYTUN_FLOW_KEY(IPV4_ADDRS, addrs.v4addrs),
		MYTUN_FLOW_KEY(IPV6_ADDRS, addrs.v6addrs),
		MYTUN_FLOW_KEY(PORTS, ports),
	};

	mytun_hash_seed = get_random_u32();
	skb_flow_dissector_init(&mytun_dissector, keys, ARRAY_SIZE(keys));
}

/* What a hash is made of; @a and @b change places with the direction */
struct mytun_flow {
	u32 a;
	u32 b;
	u16 a_port;
	u16 b_port;
	u8 protocol;
};

/* Where the network header is, and of which protocol; behind tags */
struct mytun_network {
	int offset;
	__be16 protocol;
};

/* Of either direction, in front of all else that the protocol's header has */
static bool mytun_has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
	       protocol == IPPROTO_UDPLITE;
}

/* With the seed, so that nobody can know which addresses fold to the same */
static u32 mytun_fold_address(const struct in6_addr *address)
{
	return jhash2((__force const u32 *)address->s6_addr32, 4,
		      mytun_hash_seed);
}

static bool mytun_dissect_ipv4(const struct sk_buff *skb, int offset,
			       struct mytun_flow *flow)
{
	struct {
		struct iphdr ip;
		__be16 ports[2];
	} __packed buffer, *header;

	header = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);
	if (!header || header->ip.version != 4 || header->ip.ihl != 5 ||
	    ip_is_fragment(&header->ip) ||
	    !mytun_has_ports(header->ip.protocol))
		return false;

	flow->a = (__force u32)header->ip.saddr;
	flow->b = (__force u32)header->ip.daddr;
	flow->a_port = (__force u16)header->ports[0];
	flow->b_port = (__force u16)header->ports[1];
	flow->protocol = header->ip.protocol;
	return true;
}

static bool mytun_dissect_ipv6(const struct sk_buff *skb, int offset,
			       struct mytun_flow *flow)
{
	struct {
		struct ipv6hdr ip;
		__be16 ports[2];
	} __packed buffer, *header;

	header = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);
	if (!header || header->ip.version != 6 ||
	    !mytun_has_ports(header->ip.nexthdr))
		return false;

	flow->a = mytun_fold_address(&header->ip.saddr);
	flow->b = mytun_fold_address(&header->ip.daddr);
	flow->a_port = (__force u16)header->ports[0];
	flow->b_port = (__force u16)header->ports[1];
	flow->protocol = header->ip.nexthdr;
	return true;
}

static bool mytun_dissect_plain(const struct sk_buff *skb,
				const struct mytun_network *network,
				struct mytun_flow *flow)
{
	if (network->protocol == htons(ETH_P_IP))
		return mytun_dissect_ipv4(skb, network->offset, flow);
	if (network->protocol == htons(ETH_P_IPV6))
		return mytun_dissect_ipv6(skb, network->offset, flow);
	return false;
}

/* Any packet; a part of what makes a flow is a flow too. Looks at skb->dev */
static void mytun_dissect_any(const struct sk_buff *skb,
			      const struct mytun_network *network,
			      struct mytun_flow *flow)
{
	struct mytun_flow_keys keys = {};

	__skb_flow_dissect(NULL, skb, &mytun_dissector, &keys, skb->data,
			   network->protocol, network->offset,
			   skb_headlen(skb), 0);
	*flow = (struct mytun_flow) { .protocol = keys.basic.ip_proto };
	if (keys.control.addr_type == FLOW_DISSECTOR_KEY_IPV4_ADDRS) {
		flow->a = (__force u32)keys.addrs.v4addrs.src;
		flow->b = (__force u32)keys.addrs.v4addrs.dst;
	} else if (keys.control.addr_type == FLOW_DISSECTOR_KEY_IPV6_ADDRS) {
		flow->a = mytun_fold_address(&keys.addrs.v6addrs.src);
		flow->b = mytun_fold_address(&keys.addrs.v6addrs.dst);
	} else if (eth_proto_is_802_3(keys.basic.n_proto)) {
		flow->a = (__force u16)keys.basic.n_proto;
		flow->b = flow->a;
	}
	/* the dissector takes other things for ports, too */
	if (!mytun_has_ports(flow->protocol))
		return;
	flow->a_port = (__force u16)keys.ports.src;
	flow->b_port = (__force u16)keys.ports.dst;
}

static void mytun_order(struct mytun_flow *flow)
{
	if (flow->a < flow->b ||
	    (flow->a == flow->b && flow->a_port < flow->b_port))
		return;
	swap(flow->a, flow->b);
	swap(flow->a_port, flow->b_port);
}

static u32 mytun_hash_network(const struct sk_buff *skb,
			      const struct mytun_network *network)
{
	struct mytun_flow flow;

	if (!mytun_dissect_plain(skb, network, &flow))
		mytun_dissect_any(skb, network, &flow);
	mytun_order(&flow);
	return jhash_3words(flow.a, flow.b,
			    (u32)flow.a_port << 16 | flow.b_port,
			    mytun_hash_seed + flow.protocol);
}

/* Go past tags, as those are of the link and not of the flow */
static void mytun_skip_tags(const struct sk_buff *skb,
			    struct mytun_network *network)
{
	struct vlan_hdr buffer, *tag;
	unsigned int i;

	for (i = 0; i < MYTUN_TAGS_MAX && eth_type_vlan(network->protocol); i++) {
		tag = skb_header_pointer(skb, network->offset, sizeof(buffer),
					 &buffer);
		if (!tag)
			return;
		network->protocol = tag->h_vlan_encapsulated_proto;
		network->offset += sizeof(*tag);
	}
}

/**
 * mytun_hash - which flow a frame belongs to
 * @skb:  a frame that the process sent, as the stack receives it: its data is the
 *        network header. Under RCU, with the device that it belongs to
 *
 * Return: the same for all frames of a flow, in both directions. Fragments of a
 * flow have one of their own: only the first has ports.
 */
u32 mytun_hash(const struct sk_buff *skb)
{
	struct mytun_network network = { .protocol = skb->protocol };

	if (unlikely(eth_type_vlan(network.protocol)))
		mytun_skip_tags(skb, &network);
	return mytun_hash_network(skb, &network);
}

/**
 * mytun_hash_link - mytun_hash() of a frame that the stack sends
 * @skb: a frame for the process: its data is the link header, if there is one.
 *       A tag may be beside it still, or in it
 * @tap: of a TAP device: there is one
 */
u32 mytun_hash_link(const struct sk_buff *skb, bool tap)
{
	struct mytun_network network = { .offset = ETH_HLEN };
	__be16 buffer, *type;

	if (!tap)
		return mytun_hash(skb);
	type = skb_header_pointer(skb, ETH_HLEN - ETH_TLEN, sizeof(buffer),
				  &buffer);
	if (!type)
		return 0;
	network.protocol = *type;
	if (unlikely(eth_type_vlan(network.protocol)))
		mytun_skip_tags(skb, &network);
	return mytun_hash_network(skb, &network);
}
