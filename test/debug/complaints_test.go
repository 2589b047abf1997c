// SPDX-License-Identifier: MIT

//go:build linux

// Package debug tests what the runs on the debug kernels rely on.
package debug

import (
	"os/exec"
	"strings"
	"testing"
)

// complaintsOf is what test/complaints.sh finds in a log.
func complaintsOf(t *testing.T, log string) string {
	t.Helper()
	cmd := exec.Command("../complaints.sh")
	cmd.Stdin = strings.NewReader(log)
	out, err := cmd.Output()
	if (err != nil) != (len(out) == 0) {
		t.Errorf("%v with the output %q", err, out)
	}
	return string(out)
}

func TestComplaintsAreFound(t *testing.T) {
	for _, line := range []string{
		"[   12.5] BUG: KASAN: slab-out-of-bounds in mytun_planted+0x40/0x60 [mytun]",
		"[   12.5] WARNING: possible circular locking dependency detected",
		"[   12.5] UBSAN: shift-out-of-bounds in kmod/mytun_ring.h:40:2",
		"[   12.5] unregister_netdevice: waiting for mytun0 to become free. Usage count = 2",
		"[   12.5] refcount_t: underflow; use-after-free.",
		"[   12.5] INFO: task ip:77 blocked for more than 120 seconds.",
		"[   12.5] mytun0 selects TX queue 1, but real number of TX queues is 1",
		"[   12.5] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
	} {
		if got := complaintsOf(t, "[   12.4] mytun: loaded\n"+line+"\n"); got != line+"\n" {
			t.Errorf("of %q it said %q", line, got)
		}
	}
}

func TestUsualLinesAreNoComplaints(t *testing.T) {
	for _, line := range []string{
		"[    0.9] kcsan: non-strict mode configured - use CONFIG_KCSAN_STRICT=y to see all data races",
		"[   12.5] Huh VM_FAULT_OOM leaked out to the #PF handler. Retrying PF",
		"[   12.5] mytun0: renamed from mytun1",
		"[   12.5] stock0 selects TX queue 1, but real number of TX queues is 1",
		"[   12.5] debug: unmapping init memory",
	} {
		if got := complaintsOf(t, line+"\n"); got != "" {
			t.Errorf("complaint %q", got)
		}
	}
}

// race is a report of KCSAN with two stacks.
func race(title, first, second string) string {
	const line = "==================================================================\n"
	return line + "BUG: KCSAN: data-race in " + title + "\n\n" +
		"write to 0xffff88807f15bd30 of 8 bytes by interrupt on cpu 0:\n" + first + "\n" +
		"read to 0xffff88807f15bd30 of 8 bytes by task 3084 on cpu 0:\n" + second + "\n" +
		"Reported by Kernel Concurrency Sanitizer on:\n" + line
}

// TestRacesOfTheModuleCount: and those that the kernel tolerates of its own do not.
func TestRacesOfTheModuleCount(t *testing.T) {
	const (
		kernel      = " skb_queue_tail+0x20/0x60\n __sys_sendto+0x10/0x20\n"
		module      = " skb_queue_tail+0x20/0x60\n mytun_rx_enqueue+0x40/0x90 [mytun]\n"
		interrupted = " tick_nohz_handler+0x24/0x50\n asm_sysvec_apic_timer_interrupt+0x1b/0x20\n mytun_kthread+0x10/0x20 [mytun]\n"
		probed      = " ktime_get_mono_fast_ns+0xcb/0x180\n arch_rethook_trampoline+0x31/0x60\n mytun_kthread+0x10/0x20 [mytun]\n"
	)
	for name, c := range map[string]struct {
		title, first, second string
		counts               bool
	}{
		"neither":              {"skb_queue_tail / skb_queue_tail", kernel, kernel, false},
		"the first":            {"skb_queue_tail / skb_queue_tail", module, kernel, true},
		"the second":           {"skb_queue_tail / skb_queue_tail", kernel, module, true},
		"the interrupted":      {"tick_nohz_handler / tick_nohz_idle", interrupted, kernel, false},
		"after an interrupted": {"tick_nohz_handler / mytun_kthread", interrupted, module, true},
		"below a probe":        {"ktime_get_mono_fast_ns+0xcb/0x180", probed, kernel, false},
		"an eventfd":           {"eventfd_poll / eventfd_signal_mask", kernel, module, false},
		"epoll's list":         {"do_epoll_wait / ep_poll_callback", kernel, module, false},
		"a timer":              {"hrtimer_wakeup / schedule_hrtimeout_range_clock", kernel, module, false},
	} {
		want := ""
		if c.counts {
			want = "BUG: KCSAN: data-race in " + c.title + "\n"
		}
		// what one report says is not held against the next
		log := race(c.title, c.first, c.second) + race("skb_queue_tail / skb_queue_tail", kernel, kernel)
		if got := complaintsOf(t, log); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
