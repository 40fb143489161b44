/* fixture.h - what the tests of cluster/ share: cmocka, and a folder of their own. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "tests/leftovers.h"

#include <inaetics/error.h>

/* assert_int_equal(r, 0), with the error's message. */
#define assert_success(r, error)                                                                                       \
    do {                                                                                                               \
        if ((r) < 0)                                                                                                   \
            fail_msg("%s", (error).message);                                                                           \
    } while (0)
/* It failed, and the message has `text`. */
#define assert_failure(r, error, text)                                                                                 \
    do {                                                                                                               \
        assert_true((r) < 0);                                                                                          \
        if (!strstr((error).message, text))                                                                            \
            fail_msg("\"%s\" is not in: %s", text, (error).message);                                                   \
    } while (0)

static inline int make_folder(void **state)
{
    char *folder = strdup("/tmp/test-cluster-XXXXXX");
    assert_non_null(folder);
    assert_non_null(make_test_folder(folder));
    *state = folder;
    return 0;
}

static inline int drop_folder(void **state)
{
    assert_int_equal(folder_remove(*state, NULL), 0);
    free(*state);
    return 0;
}

/* A random number below `limit` from a seed that the test prints. */
static inline uint64_t next_random(uint64_t *seed, uint64_t limit)
{
    *seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = *seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

/* From $INAETICS_SEED, else another each time; printed. */
static inline uint64_t take_seed(void)
{
    const char *text = getenv("INAETICS_SEED");
    FILE *file = text ? NULL : fopen("/dev/urandom", "re");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
    if (file) {
        if (fread(&seed, sizeof seed, 1, file) != 1)
            seed = 1;
        fclose(file);
    }
    print_message("INAETICS_SEED=%ju\n", (uintmax_t)seed);
    return seed;
}
