/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that the module builds for */
#ifndef _MYTUN_COMPAT_H
#define _MYTUN_COMPAT_H

#include <linux/eventfd.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/if_tun.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <linux/version.h>
#include <linux/virtio_net.h>
#include <net/udp.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "mytun needs Linux 6.1 or newer"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define TUN_F_USO4	0x20
#define TUN_F_USO6	0x40
#endif

/* Stock tun has them, and virtio its layout, since 6.17 */
#ifndef TUN_F_UDP_TUNNEL_GSO
#define TUN_F_UDP_TUNNEL_GSO		0x080
#define TUN_F_UDP_TUNNEL_GSO_CSUM	0x100
#endif

#ifndef VIRTIO_NET_HDR_GSO_UDP_TUNNEL
#define VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM	8
#define VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4	0x20
#define VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6	0x40
#define VIRTIO_NET_HDR_GSO_UDP_TUNNEL	(VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 | \
					 VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6)

struct virtio_net_hdr_v1_hash_tunnel {
	struct virtio_net_hdr_v1_hash hash_hdr;
	__le16 outer_th_offset;
	__le16 inner_nh_offset;
};
#endif

/* Stock tun has it since 7.3 */
#ifndef IFF_BACKPRESSURE
#define IFF_BACKPRESSURE	0x0080
#endif

/* Has any socket asked for UDP GRO? The key is no longer for all since 6.15 */
static inline bool mytun_udp_gro_needed(void)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	return static_branch_unlikely(&udp_encap_needed_key);
#else
	return true;
#endif
}

/* Before 6.12 every file has room for who gets its signals */
static inline int mytun_allocate_owner(struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	return 0;
#else
	return file_f_owner_allocate(file);
#endif
}

/* The callback runs in softirq context */
static inline void
mytun_setup_hrtimer(struct hrtimer *timer,
		    enum hrtimer_restart (*function)(struct hrtimer *))
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
	timer->function = function;
#else
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
#endif
}

/*
 * Under rtnl. What an ioctl gives is a plain sockaddr, of 14 bytes of address; the
 * kernel looks at as many as the device's type has, which may be more
 */
static inline int mytun_set_address(struct net_device *dev,
				    const struct sockaddr *address)
{
	struct sockaddr_storage copy = {};

	memcpy(&copy, address, sizeof(*address));
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	return dev_set_mac_address_user(dev, (struct sockaddr *)&copy, NULL);
#else
	return dev_set_mac_address_user(dev, &copy, NULL);
#endif
}

static inline void mytun_eventfd_signal(struct eventfd_ctx *eventfd)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(eventfd, 1);
#else
	eventfd_signal(eventfd);
#endif
}

/* Our xmit takes its own lock, so the stack's would be a second one */
static inline void mytun_set_lockless_tx(struct net_device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	dev->features |= NETIF_F_LLTX;
#else
	dev->lltx = true;
#endif
}

/*
 * What helpers of a BPF program keep between its run and the flush: each CPU has
 * it, or since 6.11 each task that says where. Bottom halves are off in between.
 */
struct mytun_bpf_context {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	struct bpf_net_context own;
	struct bpf_net_context *set;	/* NULL: who called us has one */
#endif
};

static inline void mytun_bpf_context_set(struct mytun_bpf_context *context)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	context->set = bpf_net_ctx_set(&context->own);
#endif
}

static inline void mytun_bpf_context_clear(struct mytun_bpf_context *context)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
	bpf_net_ctx_clear(context->set);
#endif
}

/* The skb may become another since 6.9; it is gone if this is not XDP_PASS */
static inline int mytun_do_xdp_generic(struct bpf_prog *program,
				       struct sk_buff **skb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	return do_xdp_generic(program, *skb);
#else
	return do_xdp_generic(program, skb);
#endif
}

/*
 * The kernel's own functions about a virtio_net_hdr know UDP segmentation since
 * 6.2, which brought this name. Before, they are asked as for a plain frame, and
 * the rest is here. The header is little endian
 */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4	5

static inline int mytun_virtio_apply_uso(struct sk_buff *skb,
					 const struct virtio_net_hdr *vnet)
{
	u16 size = __virtio16_to_cpu(true, vnet->gso_size);
	u32 headers;

	if (vnet->gso_type != VIRTIO_NET_HDR_GSO_UDP_L4 ||
	    !(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
	    skb->csum_offset != offsetof(struct udphdr, check) ||
	    !size || size == GSO_BY_FRAGS)
		return -EINVAL;
	headers = skb_transport_offset(skb) + sizeof(struct udphdr);
	if (!pskb_may_pull(skb, headers))
		return -EINVAL;
	if (skb->len - headers > size * UDP_MAX_SEGMENTS)
		return -EINVAL;
	if (skb->len - headers > size) {
		skb_shinfo(skb)->gso_size = size;
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4 | SKB_GSO_DODGY;
		skb_shinfo(skb)->gso_segs = 0;
	}
	return 0;
}

static inline int mytun_virtio_to_skb(struct sk_buff *skb,
				      const struct virtio_net_hdr *vnet)
{
	struct virtio_net_hdr checksum = *vnet;
	int err;

	if ((vnet->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) !=
	    VIRTIO_NET_HDR_GSO_UDP_L4)
		return virtio_net_hdr_to_skb(skb, vnet, true);
	checksum.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	err = virtio_net_hdr_to_skb(skb, &checksum, true);
	return err ?: mytun_virtio_apply_uso(skb, vnet);
}

static inline void mytun_virtio_from_uso(const struct sk_buff *skb,
					 struct virtio_net_hdr *vnet)
{
	*vnet = (struct virtio_net_hdr) {
		.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
		.hdr_len = __cpu_to_virtio16(true, skb_headlen(skb)),
		.gso_size = __cpu_to_virtio16(true, skb_shinfo(skb)->gso_size),
	};
	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return;
	vnet->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vnet->csum_start = __cpu_to_virtio16(true,
					     skb_checksum_start_offset(skb));
	vnet->csum_offset = __cpu_to_virtio16(true, skb->csum_offset);
}

static inline int mytun_virtio_from_skb(const struct sk_buff *skb,
					struct virtio_net_hdr *vnet)
{
	if (skb_is_gso(skb) && skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4) {
		mytun_virtio_from_uso(skb, vnet);
		return 0;
	}
	return virtio_net_hdr_from_skb(skb, vnet, true, true, 0);
}
#else
static inline int mytun_virtio_to_skb(struct sk_buff *skb,
				      const struct virtio_net_hdr *vnet)
{
	return virtio_net_hdr_to_skb(skb, vnet, true);
}

static inline int mytun_virtio_from_skb(const struct sk_buff *skb,
					struct virtio_net_hdr *vnet)
{
	return virtio_net_hdr_from_skb(skb, vnet, true, true, 0);
}
#endif

/* Before 6.3 nobody asks what a device can do, but tries */
static inline void mytun_set_xdp_features(struct net_device *dev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	dev->xdp_features = NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT |
			    NETDEV_XDP_ACT_NDO_XMIT |
			    NETDEV_XDP_ACT_NDO_XMIT_SG;
#endif
}

#endif /* _MYTUN_COMPAT_H */
