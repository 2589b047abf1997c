// SPDX-License-Identifier: GPL-2.0
/* Attributes in /sys/class/net: those that stock tun has, for its readers */

#include <linux/cred.h>
#include <linux/device.h>
#include <linux/sysfs.h>

#include "mytun.h"

static ssize_t tun_flags_show(struct device *dev, struct device_attribute *attr,
			      char *buf)
{
	const struct mytun_device *device = netdev_priv(to_net_dev(dev));

	return sysfs_emit(buf, "0x%x\n", READ_ONCE(device->flags));
}

/* An id, or -1 if there is none */
static ssize_t owner_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	const struct mytun_device *device = netdev_priv(to_net_dev(dev));

	if (!uid_valid(device->owner))
		return sysfs_emit(buf, "-1\n");
	return sysfs_emit(buf, "%u\n", from_kuid_munged(current_user_ns(),
							device->owner));
}

static ssize_t group_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	const struct mytun_device *device = netdev_priv(to_net_dev(dev));

	if (!gid_valid(device->group))
		return sysfs_emit(buf, "-1\n");
	return sysfs_emit(buf, "%u\n", from_kgid_munged(current_user_ns(),
							device->group));
}

static DEVICE_ATTR_RO(tun_flags);
static DEVICE_ATTR_RO(owner);
static DEVICE_ATTR_RO(group);

static struct attribute *mytun_attributes[] = {
	&dev_attr_tun_flags.attr,
	&dev_attr_owner.attr,
	&dev_attr_group.attr,
	NULL
};

const struct attribute_group mytun_attribute_group = {
	.attrs = mytun_attributes,
};
