// SPDX-License-Identifier: GPL-2.0
/*
 * Which blocks of the module have run, for the fuzzer
 *
 * Part of a build with MYTUN_COVER=y and of no other. After a write to
 * /sys/module/mytun/parameters/cover, /sys/kernel/debug/mytun_cover has a byte
 * for each byte of the module's text: 1 where the call at the beginning of an
 * instrumented block returns to.
 *
 * The compiler puts the calls in, as for KCOV, and the linker finds this
 * function before the kernel's. KCOV itself records tasks that asked for it.
 * What the kthread, the tasklet, the timer and the irq_work do for a process is
 * done by no such task: remote coverage would need a handle and a pair of calls
 * around the work of each, in code that is not to change for a test, and it
 * does not reach hard interrupts. A byte a block is the same for all contexts;
 * whose block it was is known by running one program at a time.
 */

#include <linux/debugfs.h>
#include <linux/kcov.h>
#include <linux/module.h>

/* More than the module's text, checked when the file is made */
#define MYTUN_COVER_MAX		(256U << 10)

static u8 mytun_cover_map[MYTUN_COVER_MAX];

static struct debugfs_blob_wrapper mytun_cover_blob = {
	.data = mytun_cover_map,
};

static struct dentry *mytun_cover_file;

/* Any context. The byte only ever becomes 1, so there is nothing to lock */
void notrace __sanitizer_cov_trace_pc(void)
{
	unsigned long place = _RET_IP_ -
			      (unsigned long)THIS_MODULE->mem[MOD_TEXT].base;

	if (place < MYTUN_COVER_MAX)
		WRITE_ONCE(mytun_cover_map[place], 1);
}

/* Where the text begins, to find the blocks of the file that was loaded */
static int mytun_cover_get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%#lx\n",
			  (unsigned long)THIS_MODULE->mem[MOD_TEXT].base);
}

static int mytun_cover_set(const char *value, const struct kernel_param *param)
{
	if (mytun_cover_file)
		return -EBUSY;
	if (THIS_MODULE->mem[MOD_TEXT].size > MYTUN_COVER_MAX)
		return -EFBIG;
	mytun_cover_blob.size = THIS_MODULE->mem[MOD_TEXT].size;
	mytun_cover_file = debugfs_create_blob("mytun_cover", 0400, NULL,
					       &mytun_cover_blob);
	return PTR_ERR_OR_ZERO(mytun_cover_file);
}

/* When the module is unloaded */
static void mytun_cover_free(void *unused)
{
	debugfs_remove(mytun_cover_file);
}

static const struct kernel_param_ops mytun_cover_ops = {
	.get = mytun_cover_get,
	.set = mytun_cover_set,
	.free = mytun_cover_free,
};

module_param_cb(cover, &mytun_cover_ops, NULL, 0600);
MODULE_PARM_DESC(cover, "Show in debugfs which blocks have run");
