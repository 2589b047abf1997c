// SPDX-License-Identifier: GPL-2.0
/*
 * A flow's hash
 *
 * Over addresses and ports, the same in both directions. The flow dissector can
 * tell it for any packet, but takes half as many instructions for that as all
 * else that an rx frame needs; so the two kinds that nearly all are of are done
 * here: TCP and UDP right behind an IP header without options.
 */

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/skbuff.h>

#include "mytun.h"

static u32 mytun_hash_seed __read_mostly;

void mytun_hash_setup(void)
{
	mytun_hash_seed = get_random_u32();
}

/* What a hash is made of; @a and @b change places with the direction */
struct mytun_flow {
	u32 a;
	u32 b;
	u16 a_port;
	u16 b_port;
	u8 protocol;
};

static bool mytun_has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* With the seed, so that nobody can know which addresses fold to the same */
static u32 mytun_fold_address(const struct in6_addr *address)
{
	return jhash2((__force const u32 *)address->s6_addr32, 4,
		      mytun_hash_seed);
}

static bool mytun_dissect_ipv4(const struct sk_buff *skb,
			       struct mytun_flow *flow)
{
	struct {
		struct iphdr ip;
		__be16 ports[2];
	} __packed buffer, *header;

	header = skb_header_pointer(skb, skb_network_offset(skb),
				    sizeof(buffer), &buffer);
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

static bool mytun_dissect_ipv6(const struct sk_buff *skb,
			       struct mytun_flow *flow)
{
	struct {
		struct ipv6hdr ip;
		__be16 ports[2];
	} __packed buffer, *header;

	header = skb_header_pointer(skb, skb_network_offset(skb),
				    sizeof(buffer), &buffer);
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

static bool mytun_dissect(const struct sk_buff *skb, struct mytun_flow *flow)
{
	/* a frame that a packet socket sends may have no network header */
	if (skb_network_offset(skb) < 0)
		return false;
	if (skb->protocol == htons(ETH_P_IP))
		return mytun_dissect_ipv4(skb, flow);
	if (skb->protocol == htons(ETH_P_IPV6))
		return mytun_dissect_ipv6(skb, flow);
	return false;
}

static void mytun_order(struct mytun_flow *flow)
{
	if (flow->a < flow->b ||
	    (flow->a == flow->b && flow->a_port < flow->b_port))
		return;
	swap(flow->a, flow->b);
	swap(flow->a_port, flow->b_port);
}

/* The same for all frames of a flow, in both directions, but for fragments */
u32 mytun_hash(const struct sk_buff *skb)
{
	struct mytun_flow flow;

	if (!mytun_dissect(skb, &flow))
		return __skb_get_hash_symmetric(skb);
	mytun_order(&flow);
	return jhash_3words(flow.a, flow.b,
			    (u32)flow.a_port << 16 | flow.b_port,
			    mytun_hash_seed + flow.protocol);
}
