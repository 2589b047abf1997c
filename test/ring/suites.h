/* SPDX-License-Identifier: GPL-2.0 */
/* suites.h: the suites, each in the file of its name */
#ifndef _SUITES_H
#define _SUITES_H

#include "ktap.h"

extern const struct ktap_suite verbs_suite;
extern const struct ktap_suite wrap_suite;
extern const struct ktap_suite events_suite;
extern const struct ktap_suite corruption_suite;
extern const struct ktap_suite interleave_suite;
extern const struct ktap_suite model_suite;
extern const struct ktap_suite liar_suite;
extern const struct ktap_suite concurrency_suite;

#endif /* _SUITES_H */
