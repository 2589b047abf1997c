// SPDX-License-Identifier: GPL-2.0
/*
 * layout.c: the ABI as it was given to programs, checked when this is compiled
 *
 * A line that fails here is a change that breaks programs.
 */

#include <stddef.h>

#include "uapi/linux/mytun.h"

#define SIZE(type, size) \
	_Static_assert(sizeof(type) == (size), "size of " #type)
#define FIELD(type, field, offset) \
	_Static_assert(offsetof(type, field) == (offset), \
		       "offset of " #type "." #field)
#define VALUE(name, value) \
	_Static_assert((name) == (value), "value of " #name)

SIZE(struct mytun_frame, 32);
FIELD(struct mytun_frame, length, 0);
FIELD(struct mytun_frame, flags, 4);
FIELD(struct mytun_frame, hash, 8);
FIELD(struct mytun_frame, vnet, 12);
FIELD(struct mytun_frame, vnet.gso_size, 16);
FIELD(struct mytun_frame, vnet.num_buffers, 22);
FIELD(struct mytun_frame, outer_th_offset, 24);
FIELD(struct mytun_frame, inner_nh_offset, 26);
FIELD(struct mytun_frame, reserved, 28);

SIZE(struct mytun_ring_config, 32);
FIELD(struct mytun_ring_config, rx_size, 0);
FIELD(struct mytun_ring_config, tx_size, 4);
FIELD(struct mytun_ring_config, flags, 8);
FIELD(struct mytun_ring_config, rx_headroom, 12);
FIELD(struct mytun_ring_config, rx_tailroom, 16);
FIELD(struct mytun_ring_config, reserved, 20);

SIZE(struct mytun_eventfds, 32);
FIELD(struct mytun_eventfds, rx_doorbell, 0);
FIELD(struct mytun_eventfds, tx_doorbell, 4);
FIELD(struct mytun_eventfds, tx_space, 8);
FIELD(struct mytun_eventfds, reserved, 12);

SIZE(struct mytun_ring_info, 40);
FIELD(struct mytun_ring_info, data_offset, 0);
FIELD(struct mytun_ring_info, data_length, 8);
FIELD(struct mytun_ring_info, size, 16);
FIELD(struct mytun_ring_info, producer, 20);
FIELD(struct mytun_ring_info, consumer, 24);
FIELD(struct mytun_ring_info, need_wakeup, 28);
FIELD(struct mytun_ring_info, need_space, 32);
FIELD(struct mytun_ring_info, headroom, 36);
FIELD(struct mytun_ring_info, tailroom, 38);

SIZE(struct mytun_info, 176);
FIELD(struct mytun_info, features, 0);
FIELD(struct mytun_info, kernel_page_offset, 8);
FIELD(struct mytun_info, user_page_offset, 16);
FIELD(struct mytun_info, page_length, 24);
FIELD(struct mytun_info, state, 28);
FIELD(struct mytun_info, frame_header, 32);
FIELD(struct mytun_info, frame_align, 36);
FIELD(struct mytun_info, frame_max, 40);
FIELD(struct mytun_info, ring_size_min, 44);
FIELD(struct mytun_info, ring_size_max, 48);
FIELD(struct mytun_info, queue, 52);
FIELD(struct mytun_info, poll_usecs, 56);
FIELD(struct mytun_info, reserved0, 60);
FIELD(struct mytun_info, rx, 64);
FIELD(struct mytun_info, tx, 104);
FIELD(struct mytun_info, reserved, 144);

SIZE(struct mytun_stats, 192);
FIELD(struct mytun_stats, rx_frames, 0);
FIELD(struct mytun_stats, rx_bytes, 8);
FIELD(struct mytun_stats, rx_ring_full, 16);
FIELD(struct mytun_stats, rx_dropped, 24);
FIELD(struct mytun_stats, rx_doorbells, 32);
FIELD(struct mytun_stats, rx_doorbells_suppressed, 40);
FIELD(struct mytun_stats, tx_frames, 48);
FIELD(struct mytun_stats, tx_bytes, 56);
FIELD(struct mytun_stats, tx_refused_length, 64);
FIELD(struct mytun_stats, tx_refused_flags, 72);
FIELD(struct mytun_stats, tx_refused_vnet, 80);
FIELD(struct mytun_stats, tx_refused_protocol, 88);
FIELD(struct mytun_stats, tx_dropped_down, 96);
FIELD(struct mytun_stats, tx_dropped_memory, 104);
FIELD(struct mytun_stats, tx_doorbells, 112);
FIELD(struct mytun_stats, tx_space_signals, 120);
FIELD(struct mytun_stats, tx_space_suppressed, 128);
FIELD(struct mytun_stats, kthread_sleeps, 136);
FIELD(struct mytun_stats, rx_direct, 144);
FIELD(struct mytun_stats, rx_queue_stops, 152);
FIELD(struct mytun_stats, tx_xdp, 160);
FIELD(struct mytun_stats, reserved, 168);

VALUE(MYTUN_FRAME_ALIGN, 64);
VALUE(MYTUN_FRAME_HASH, 1);
VALUE(MYTUN_STATE_DETACHED, 1);
VALUE(MYTUN_STATE_RX_BROKEN, 2);
VALUE(MYTUN_STATE_TX_BROKEN, 4);
VALUE(MYTUN_FEATURE_RINGS_HASH, 256);
VALUE(MYTUN_RINGS_HASH, 1);
VALUE(MYTUN_FEATURE_RX_ROOM, 512);
VALUE(MYTUN_FEATURE_TX_VNET, 2);
VALUE(MYTUN_FEATURE_TX_HASH, 4);
VALUE(MYTUN_FEATURE_OFFLOAD, 8);
VALUE(MYTUN_FEATURE_BACKPRESSURE, 16);
VALUE(MYTUN_FEATURE_RX_HOLD, 32);
VALUE(MYTUN_FEATURE_READ_WRITE, 64);
VALUE(MYTUN_FEATURE_UDP_TUNNEL, 128);

/* On most machines: direction << 30, size << 16, magic << 8, number */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
VALUE(MYTUN_IOC_GET_INFO, 0x80b0f700);
VALUE(MYTUN_IOC_SET_RINGS, 0x4020f701);
VALUE(MYTUN_IOC_SET_EVENTFDS, 0x4020f702);
VALUE(MYTUN_IOC_SET_POLL, 0x4004f703);
VALUE(MYTUN_IOC_GET_STATS, 0x80c0f704);
VALUE(MYTUN_IOC_SET_BACKPRESSURE, 0x4004f705);
#endif

/* What the ring's arithmetic leans on */
_Static_assert(sizeof(struct mytun_frame) <= MYTUN_FRAME_ALIGN,
	       "a header does not wrap");
_Static_assert(sizeof(struct mytun_frame) + MYTUN_FRAME_MAX +
	       2 * MYTUN_RX_ROOM_MAX + MYTUN_FRAME_ALIGN <=
	       MYTUN_RING_SIZE_MIN, "any frame fits any ring");
_Static_assert(MYTUN_RING_SIZE_MAX <= 1U << 31, "no index is ambiguous");
