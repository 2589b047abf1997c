// SPDX-License-Identifier: GPL-2.0
/* main.c: the suites, cheap ones first */

#include "suites.h"

int main(int argc, char **argv)
{
	static const struct ktap_suite *const suites[] = {
		&verbs_suite, &wrap_suite, &events_suite, &corruption_suite,
		&interleave_suite, &model_suite, &liar_suite,
		&concurrency_suite, NULL,
	};

	return ktap_main(argc, argv, suites);
}
