/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * mytun: a tun/tap device whose frames pass through memory-mapped rings
 *
 * Directions are the process's: rx is kernel to process, tx is process to
 * kernel. One open file of /dev/net/mytun is one queue: one rx ring, one tx
 * ring. A process
 *
 *   1. attaches the file to a device with TUNSETIFF (linux/if_tun.h),
 *   2. chooses the ring sizes with MYTUN_IOC_SET_RINGS, once,
 *   3. asks with MYTUN_IOC_GET_INFO where everything is, and maps it,
 *   4. hands in eventfds with MYTUN_IOC_SET_EVENTFDS.
 *
 * Or it does 1 alone, and then reads and writes as it would with stock tun; or
 * has a ring in one direction only.
 *
 * All fields are in the byte order of the machine, but for the virtio_net_hdr,
 * which is little endian as virtio 1.0 says. No structure has a hole, so
 * 32-bit and 64-bit programs see the same layout.
 */
#ifndef _UAPI_LINUX_MYTUN_H
#define _UAPI_LINUX_MYTUN_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/virtio_net.h>

/* Limits; MYTUN_IOC_GET_INFO reports them too, for programs that outlive them */
#define MYTUN_RING_SIZE_MIN	(128U << 10)
#define MYTUN_RING_SIZE_MAX	(64U << 20)
#define MYTUN_FRAME_ALIGN	64U
#define MYTUN_FRAME_MAX		65568U
#define MYTUN_RX_ROOM_MAX	256U
#define MYTUN_POLL_MAX_USECS	100000U

/**
 * struct mytun_frame - what stands in front of every payload in a ring
 * @length:   bytes of payload that follow this header, and the headroom if there is any
 * @flags:    MYTUN_FRAME_*; the kernel refuses a tx frame with an unknown one
 * @hash:     flow hash, if MYTUN_FRAME_HASH is set: over addresses and ports,
 *            and so the same for all frames of a flow, in both directions, for
 *            as long as the module is loaded. Fragments of a flow have one of
 *            their own, without ports. rx: the kernel sets both if it was asked
 *            to (MYTUN_RINGS_HASH), and always where one read() takes many frames.
 *            tx: the process may; the stack then spreads the flow by it (RPS) and
 *            need not compute its own
 * @vnet:     checksum and segmentation metadata (virtio 1.0 layout, little
 *            endian). All zero for a plain frame, and always so on a device
 *            without IFF_VNET_HDR. tx: VIRTIO_NET_HDR_F_DATA_VALID says that the
 *            transport's checksum, as of TCP or UDP, is right: the stack then does
 *            not look. Nobody hears it of a super-packet, on a device with an XDP
 *            program, and by write() of one frame a call, which is stock tun's
 * @outer_th_offset: of a UDP tunnel's super-packet (VIRTIO_NET_HDR_GSO_UDP_TUNNEL_*
 *            in @vnet, MYTUN_FEATURE_UDP_TUNNEL): bytes from the frame's start to
 *            the tunnel's UDP header; little endian, as in
 *            struct virtio_net_hdr_v1_hash_tunnel. Else zero, and the kernel
 *            refuses a tx frame where it is not
 * @inner_nh_offset: the same to the IP header of the packet in the tunnel
 * @reserved: zero; the kernel refuses a tx frame where it is not
 *
 * Frames begin at multiples of MYTUN_FRAME_ALIGN bytes: a frame occupies
 * sizeof(struct mytun_frame) + @length, rounded up.
 *
 * In an rx ring with room around its frames (struct mytun_ring_config), there are
 * headroom, payload and tailroom behind the header, and a frame occupies the sum,
 * rounded up. The room is the process's to write to, until it gives the frame back.
 * What is in it then is undefined: whatever was at that place of the ring before.
 */
struct mytun_frame {
	__u32 length;
	__u32 flags;
	__u32 hash;
	struct virtio_net_hdr_v1 vnet;
	__le16 outer_th_offset;
	__le16 inner_nh_offset;
	__u32 reserved;
};

#define MYTUN_FRAME_HASH	0x00000001U	/* @hash is valid */

/*
 * Many frames with one read() or write(), of a queue without a ring in that
 * direction: argument of MYTUN_IOC_SET_BATCH, both bits or one or none.
 *
 * Each frame stands behind a struct mytun_frame, as in a ring, and there is no
 * struct tun_pi and no virtio_net_hdr besides. Frames begin at multiples of
 * MYTUN_BATCH_ALIGN bytes from the start of the buffer, one directly after
 * another: sizeof(struct mytun_frame) + @length, rounded up.
 *
 * read() sleeps for the first frame alone, then takes what waits, as far as
 * whole frames fit; if the first does not fit it stays, and read() fails with
 * EMSGSIZE. The value returned counts the gaps, the last one too; what is in
 * them is undefined.
 *
 * write() returns the bytes of all frames that were taken, the gaps included. A
 * frame that is malformed is refused and counted, as in a ring, and the others
 * are delivered. One that runs past the end of the buffer is EINVAL, one above
 * MYTUN_FRAME_MAX is EMSGSIZE, if no frame was taken before it.
 */
#define MYTUN_BATCH_READ	0x00000001U
#define MYTUN_BATCH_WRITE	0x00000002U
#define MYTUN_BATCH_ALIGN	8U

/* Bits of the state word: why a queue no longer carries frames */
#define MYTUN_STATE_DETACHED	0x00000001U	/* the device is gone */
#define MYTUN_STATE_RX_BROKEN	0x00000002U	/* rx indices made no sense */
#define MYTUN_STATE_TX_BROKEN	0x00000004U	/* tx indices made no sense */

/* Feature bits of struct mytun_info. 0x1 was: all rx frames carry a flow hash */
#define MYTUN_FEATURE_TX_VNET	0x00000002ULL	/* tx vnet headers are honoured */
#define MYTUN_FEATURE_TX_HASH	0x00000004ULL	/* tx flow hashes are honoured */
#define MYTUN_FEATURE_OFFLOAD	0x00000008ULL	/* TUNSETOFFLOAD, USO included */
#define MYTUN_FEATURE_BACKPRESSURE 0x00000010ULL /* MYTUN_IOC_SET_BACKPRESSURE */
#define MYTUN_FEATURE_RX_HOLD	0x00000020ULL	/* rx need_wakeup may lie ahead */
#define MYTUN_FEATURE_READ_WRITE 0x00000040ULL	/* read, write, a ring size of 0 */
#define MYTUN_FEATURE_UDP_TUNNEL 0x00000080ULL	/* super-packets in UDP tunnels */
#define MYTUN_FEATURE_RINGS_HASH 0x00000100ULL	/* MYTUN_RINGS_HASH */
#define MYTUN_FEATURE_RX_ROOM	0x00000200ULL	/* rx_headroom, rx_tailroom */

/**
 * struct mytun_ring_config - argument of MYTUN_IOC_SET_RINGS
 * @rx_size:     bytes of the rx data area, a power of two, or 0 for no rx ring
 * @tx_size:     bytes of the tx data area, a power of two, or 0 for no tx ring
 * @flags:       MYTUN_RINGS_*
 * @rx_headroom: bytes between the header and the payload of an rx frame, for a
 *               process that puts headers in front of it; at most MYTUN_RX_ROOM_MAX,
 *               and 0 without an rx ring (MYTUN_FEATURE_RX_ROOM)
 * @rx_tailroom: bytes behind the payload that belong to the frame; as @rx_headroom
 * @reserved:    zero
 *
 * A direction without a ring goes by read() or write(); one of the two has one.
 * In a direction with a ring, read() of 8 bytes or more waits until the rx ring
 * has frames, and tells in a __u64 how many bytes of it are in use; write() of 0
 * bytes makes the kernel look at the tx ring at once, as the tx doorbell does,
 * and of more is EBUSY.
 */
struct mytun_ring_config {
	__u32 rx_size;
	__u32 tx_size;
	__u32 flags;
	__u32 rx_headroom;
	__u32 rx_tailroom;
	__u32 reserved[3];
};

/* Frames of the rx ring carry a flow hash, which costs each a look at its headers */
#define MYTUN_RINGS_HASH	0x00000001U

/**
 * struct mytun_eventfds - argument of MYTUN_IOC_SET_EVENTFDS
 * @rx_doorbell: kernel signals: frames are in the rx ring, or the state changed
 * @tx_doorbell: process signals: frames are in the tx ring past its
 *               need_wakeup, or the rx consumer moved past rx need_space
 * @tx_space:    kernel signals: the tx consumer moved past tx need_space, or
 *               the state changed
 * @reserved:    zero
 *
 * -1 stands for none. All three are replaced together, or none on error.
 */
struct mytun_eventfds {
	__s32 rx_doorbell;
	__s32 tx_doorbell;
	__s32 tx_space;
	__u32 reserved[5];
};

/**
 * struct mytun_ring_info - where one ring is
 * @data_offset:  offset for mmap() of the data area
 * @data_length:  bytes to map there: twice @size, for the area follows itself,
 *                so that a frame that wraps is contiguous all the same
 * @size:         bytes of the data area; byte index modulo @size is the place
 * @producer:     byte offset of the producer index in its writer's page
 * @consumer:     byte offset of the consumer index in its writer's page
 * @need_wakeup:  byte offset, in the consumer's page: the consumer wants a
 *                signal when the producer index moves past this value
 * @need_space:   byte offset, in the producer's page: the producer wants a
 *                signal when the consumer index moves past this value
 * @headroom:     bytes between the header and the payload of each frame; 0 in tx
 * @tailroom:     bytes behind the payload that belong to the frame; 0 in tx
 *
 * Offsets and lengths for mmap() are multiples of the kernel's page size,
 * which is struct mytun_info's page_length, and so is every size of a ring.
 *
 * The four words are 32 bits wide. Indices count bytes, begin at 0, are always
 * multiples of MYTUN_FRAME_ALIGN, run freely and wrap at 2^32. The event words
 * of the process begin at a value that is not passed before it sets its own.
 * The kernel's words (rx producer and need_space, tx consumer and
 * need_wakeup) are in the kernel page, the process's in the user page.
 *
 * A process that finds the rx ring empty may set need_wakeup ahead of its
 * consumer index, by less than the size of the ring, to sleep until more has
 * come. When it has slept beside frames for the holding time (ethtool -C
 * rx-usecs), it is signalled in any case.
 *
 * "X moves past E" means: X was old, is new, and
 * (__u32)(new - E - 1) < (__u32)(new - old), as virtio's event index.
 */
struct mytun_ring_info {
	__u64 data_offset;
	__u64 data_length;
	__u32 size;
	__u32 producer;
	__u32 consumer;
	__u32 need_wakeup;
	__u32 need_space;
	__u16 headroom;
	__u16 tailroom;
};

/**
 * struct mytun_info - answer of MYTUN_IOC_GET_INFO
 * @features:           MYTUN_FEATURE_*
 * @kernel_page_offset: offset for mmap() of the words that the kernel writes;
 *                      can be mapped for reading only
 * @user_page_offset:   offset for mmap() of the words that the process writes
 * @page_length:        bytes of each of these two: the page size of the kernel,
 *                      which is not 4096 on every machine; ask for it here
 * @state:              byte offset of the state word in the kernel page
 * @frame_header:       sizeof(struct mytun_frame)
 * @frame_align:        frames begin at multiples of this many bytes
 * @frame_max:          largest payload in bytes
 * @ring_size_min:      smallest size that MYTUN_IOC_SET_RINGS takes
 * @ring_size_max:      largest size that MYTUN_IOC_SET_RINGS takes
 * @queue:              index of this queue in its device; ~0 when not attached
 * @poll_usecs:         longest time that the kernel polls before it sleeps
 * @rx:                 the rx ring; all zero before MYTUN_IOC_SET_RINGS
 * @tx:                 the tx ring; all zero before MYTUN_IOC_SET_RINGS
 * @reserved:           zero
 */
struct mytun_info {
	__u64 features;
	__u64 kernel_page_offset;
	__u64 user_page_offset;
	__u32 page_length;
	__u32 state;
	__u32 frame_header;
	__u32 frame_align;
	__u32 frame_max;
	__u32 ring_size_min;
	__u32 ring_size_max;
	__u32 queue;
	__u32 poll_usecs;
	__u32 reserved0;
	struct mytun_ring_info rx;
	struct mytun_ring_info tx;
	__u64 reserved[4];
};

/**
 * struct mytun_stats - answer of MYTUN_IOC_GET_STATS, since the queue was opened
 * @rx_frames:              frames put into the rx ring
 * @rx_bytes:               their payload
 * @rx_ring_full:           times the kernel found the rx ring full and waited
 * @rx_dropped:             frames dropped because too many waited for the ring
 * @rx_doorbells:           rx doorbells sent
 * @rx_doorbells_suppressed: batches that found the process awake, or that it
 *                          is told of together with others (ethtool -C). One whose
 *                          doorbell is just about to be sent may count here until
 *                          then
 * @tx_frames:              frames given to the network stack
 * @tx_bytes:               their payload
 * @tx_refused_length:      refused: empty, too long, or shorter than its headers
 * @tx_refused_flags:       refused: unknown flag or reserved field not zero
 * @tx_refused_vnet:        refused: virtio_net_hdr that does not fit the frame,
 *                          or present on a device without IFF_VNET_HDR
 * @tx_refused_protocol:    refused: neither IPv4 nor IPv6 on a TUN device
 * @tx_dropped_down:        dropped: the interface was down
 * @tx_dropped_memory:      dropped: no memory
 * @tx_doorbells:           tx doorbells received
 * @tx_space_signals:       tx space signals sent
 * @tx_space_suppressed:    releases that found no process waiting for space
 * @kthread_sleeps:         times the queue's kernel thread went to sleep
 * @rx_direct:              frames that their own sender put into the ring: it was
 *                          no other's at that moment, and had room
 * @rx_queue_stops:         times the stack was told to hold its frames, with
 *                          MYTUN_IOC_SET_BACKPRESSURE
 * @tx_xdp:                 frames that the device's XDP program kept from the
 *                          network stack: dropped, sent back or redirected
 * @reserved:               zero
 */
struct mytun_stats {
	__u64 rx_frames;
	__u64 rx_bytes;
	__u64 rx_ring_full;
	__u64 rx_dropped;
	__u64 rx_doorbells;
	__u64 rx_doorbells_suppressed;
	__u64 tx_frames;
	__u64 tx_bytes;
	__u64 tx_refused_length;
	__u64 tx_refused_flags;
	__u64 tx_refused_vnet;
	__u64 tx_refused_protocol;
	__u64 tx_dropped_down;
	__u64 tx_dropped_memory;
	__u64 tx_doorbells;
	__u64 tx_space_signals;
	__u64 tx_space_suppressed;
	__u64 kthread_sleeps;
	__u64 rx_direct;
	__u64 rx_queue_stops;
	__u64 tx_xdp;
	__u64 reserved[3];
};

/*
 * Besides these, the ioctls of linux/if_tun.h mean what they mean there;
 * docs/compatibility.md has the few differences. Without TUNSETOFFLOAD the stack
 * segments and checksums every frame before the rx ring; in the tx direction a
 * device with IFF_VNET_HDR takes segmentation and checksum metadata in any case.
 * TUN_F_UDP_TUNNEL_GSO (0x80), and with it TUN_F_UDP_TUNNEL_GSO_CSUM (0x100) if the
 * outer UDP header may have a checksum, let super-packets in VXLAN and the like come
 * whole. By read() they do behind a virtio_net_hdr of at least 24 bytes (TUNSETVNETHDRSZ),
 * which then is a struct virtio_net_hdr_v1_hash_tunnel; behind a smaller one they are
 * dropped.
 *
 * MYTUN_IOC_SET_BACKPRESSURE, with 1, makes the device hold up its senders
 * instead of dropping frames while the rx ring is full; with 0, the default,
 * it drops them. It is the device's, not the queue's, and as the offloads of a
 * persistent device it stays until it is changed. IFF_BACKPRESSURE (0x0080,
 * Linux 7.3) of TUNSETIFF, from a device's first queue, is the same as 1.
 *
 * MYTUN_IOC_WAIT is a write() of 0 bytes if there is a tx ring, and then waits as
 * read() does until the rx ring has frames: for programs that own no eventfd.
 *
 * E2BIG   TUNSETIFF: the device has all the queues it can have
 * EBADFD  not attached to a device, or the device is gone
 * EBUSY   TUNSETIFF: the device has its one queue, or IFF_TUN_EXCL and it
 *         exists; MYTUN_IOC_SET_RINGS: the queue has its rings already
 * EAGAIN  MYTUN_IOC_WAIT: the rx ring is empty, and the file is O_NONBLOCK
 * EIO     MYTUN_IOC_WAIT: a ring is broken
 * EEXIST  TUNSETIFF: the file is attached already
 * EPERM   TUNSETIFF: no CAP_NET_ADMIN, and not owner or group of the device
 * EINVAL  a size, flag, room or reserved field out of range; MYTUN_IOC_WAIT: no rx
 *         ring; MYTUN_IOC_SET_EVENTFDS: before the rings, or not an eventfd;
 *         TUNSETOFFLOAD: an unknown offload, segmentation
 *         without checksum, of tunnels without another, or any on a device
 *         without IFF_VNET_HDR
 * EBADF   MYTUN_IOC_SET_EVENTFDS: not an open file
 * ENOMEM  no memory, or the memory cgroup is at its limit
 * ENOTTY  no such ioctl
 *
 * On any error the state is what it was before.
 */
#define MYTUN_IOC_MAGIC		0xF7
#define MYTUN_IOC_GET_INFO	_IOR(MYTUN_IOC_MAGIC, 0x00, struct mytun_info)
#define MYTUN_IOC_SET_RINGS	_IOW(MYTUN_IOC_MAGIC, 0x01, struct mytun_ring_config)
#define MYTUN_IOC_SET_EVENTFDS	_IOW(MYTUN_IOC_MAGIC, 0x02, struct mytun_eventfds)
#define MYTUN_IOC_SET_POLL	_IOW(MYTUN_IOC_MAGIC, 0x03, __u32)
#define MYTUN_IOC_GET_STATS	_IOR(MYTUN_IOC_MAGIC, 0x04, struct mytun_stats)
#define MYTUN_IOC_SET_BACKPRESSURE _IOW(MYTUN_IOC_MAGIC, 0x05, __u32)
#define MYTUN_IOC_WAIT		_IO(MYTUN_IOC_MAGIC, 0x06)
#define MYTUN_IOC_SET_BATCH	_IOW(MYTUN_IOC_MAGIC, 0x07, __u32)

#endif /* _UAPI_LINUX_MYTUN_H */
