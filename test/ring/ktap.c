// SPDX-License-Identifier: GPL-2.0
/*
 * ktap.c: runs suites of tests and prints KTAP
 *
 *   ring-asan           all tests, one document
 *   ring-asan -c        how many tests there are
 *   ring-asan -n FIRST  no head; numbers from FIRST, for a larger document
 *   ring-asan -s SUITE  that suite only
 *   ring-asan -x        stop at the first failure
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ktap.h"

/*
 * A lost wake-up is a test that hangs. The longest takes a second or two of
 * ThreadSanitizer's, of which a busy machine makes more.
 */
#define KTAP_TIMEOUT_SECONDS	120

/* How this was built; part of every test's name */
#ifndef KTAP_BUILD
#define KTAP_BUILD	"plain"
#endif

struct ktap_options {
	const char *suite;
	unsigned int first;
	bool count;
	bool head;
	bool stop;
};

/* The sanitizers' defaults, so that a test run by hand behaves the same */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

void ktap_fail(const char *file, int line, const char *what)
{
	printf("# %s:%d: not so: %s\n", file, line, what);
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

void ktap_say(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# %s\n", text);
}

static int ktap_run_child(const struct ktap_test *test)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(KTAP_TIMEOUT_SECONDS);
		test->run();
		exit(EXIT_SUCCESS);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static bool ktap_run(const struct ktap_suite *suite,
		     const struct ktap_test *test, unsigned int number)
{
	int status = ktap_run_child(test);

	if (status && WIFSIGNALED(status))
		printf("# ended by signal: %s\n", strsignal(WTERMSIG(status)));
	else if (status)
		printf("# exit status %d\n", WEXITSTATUS(status));
	printf("%s %u %s.%s.%s\n", status ? "not ok" : "ok", number,
	       KTAP_BUILD, suite->name, test->name);
	return !status;
}

static bool ktap_chosen(const struct ktap_suite *suite,
			const struct ktap_options *options)
{
	return !options->suite || !strcmp(options->suite, suite->name);
}

static bool ktap_run_all(const struct ktap_suite *const *suites,
			 const struct ktap_options *options)
{
	unsigned int number = options->first;
	bool passed = true;
	size_t i;

	for (; *suites; suites++) {
		if (!ktap_chosen(*suites, options))
			continue;
		for (i = 0; i < (*suites)->count; i++) {
			passed &= ktap_run(*suites, &(*suites)->tests[i],
					   number++);
			if (!passed && options->stop)
				return false;
		}
	}
	return passed;
}

static size_t ktap_count(const struct ktap_suite *const *suites,
			 const struct ktap_options *options)
{
	size_t count = 0;

	for (; *suites; suites++)
		if (ktap_chosen(*suites, options))
			count += (*suites)->count;
	return count;
}

static struct ktap_options ktap_parse(int argc, char **argv)
{
	struct ktap_options options = { .first = 1, .head = true };
	int option;

	while ((option = getopt(argc, argv, "cn:s:x")) != -1) {
		switch (option) {
		case 'c':
			options.count = true;
			break;
		case 'n':
			options.first = strtoul(optarg, NULL, 10);
			options.head = false;
			break;
		case 's':
			options.suite = optarg;
			break;
		case 'x':
			options.stop = true;
			break;
		default:
			exit(2);
		}
	}
	return options;
}

int ktap_main(int argc, char **argv, const struct ktap_suite *const *suites)
{
	struct ktap_options options = ktap_parse(argc, argv);

	if (options.count) {
		printf("%zu\n", ktap_count(suites, &options));
		return EXIT_SUCCESS;
	}
	if (options.head)
		printf("KTAP version 1\n1..%zu\n", ktap_count(suites, &options));
	return ktap_run_all(suites, &options) ? EXIT_SUCCESS : EXIT_FAILURE;
}
