/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ktap.h: a minimal harness
 *
 * Every test runs in a process of its own, so that one that crashes, hangs or
 * makes a sanitizer stop it is a "not ok" like any other, and the next one
 * runs. CHECK() may be used by any thread of a test: it ends the process.
 */
#ifndef _KTAP_H
#define _KTAP_H

#include <stddef.h>

struct ktap_test {
	const char *name;
	void (*run)(void);
};

struct ktap_suite {
	const char *name;
	const struct ktap_test *tests;
	size_t count;
};

#define KTAP_SUITE(_name, _tests)				\
	const struct ktap_suite _name ## _suite = {		\
		.name = #_name,					\
		.tests = _tests,				\
		.count = sizeof(_tests) / sizeof((_tests)[0]),	\
	}

#define CHECK(condition) \
	((condition) ? (void)0 : ktap_fail(__FILE__, __LINE__, #condition))

_Noreturn void ktap_fail(const char *file, int line, const char *what);

/* A line that explains, without a verdict */
__attribute__((__format__(__printf__, 1, 2)))
void ktap_say(const char *format, ...);

int ktap_main(int argc, char **argv, const struct ktap_suite *const *suites);

#endif /* _KTAP_H */
