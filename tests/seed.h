/* seed.h - where the random cases of a test begin.
 *
 * At the same place each time, so that what fails is what was changed;
 * INAETICS_SEED says another, and ./test --long (INAETICS_LONG) takes a new one
 * each time. Tests print theirs. */
#pragma once

#include <stdlib.h>
#include <time.h>

static inline unsigned test_seed(void)
{
    const char *given = getenv("INAETICS_SEED"), *all = getenv("INAETICS_LONG");

    if (given && *given)
        return (unsigned)strtoul(given, NULL, 10);
    return all && *all ? (unsigned)time(NULL) : 1;
}
