// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading. Nothing appears until a program asks */

#include <linux/miscdevice.h>
#include <linux/module.h>
#include <net/rtnetlink.h>

#include "mytun.h"

static struct miscdevice mytun_miscdev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mytun",
	.nodename = "net/mytun",
	.fops = &mytun_file_operations,
};

static int __init mytun_init(void)
{
	int err;

	mytun_hash_setup();
	err = rtnl_link_register(&mytun_link_ops);
	if (err)
		return err;

	err = misc_register(&mytun_miscdev);
	if (err)
		goto err_link;
	return 0;

err_link:
	rtnl_link_unregister(&mytun_link_ops);
	return err;
}

static void __exit mytun_exit(void)
{
	misc_deregister(&mytun_miscdev);
	rtnl_link_unregister(&mytun_link_ops);
	/* of filters that were replaced */
	rcu_barrier();
}

module_init(mytun_init);
module_exit(mytun_exit);
MODULE_DESCRIPTION("tun/tap device with memory-mapped rings");
MODULE_AUTHOR("The mytun authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(MYTUN_VERSION);
MODULE_ALIAS_RTNL_LINK("mytun");
