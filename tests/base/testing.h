/* testing.h - what the tests of base share: cmocka, and a folder of their own. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these four before it. */
#include <cmocka.h>

#include "base/files.h"
#include "tests/leftovers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes a folder for the test; teardown removes it. */
static inline int make_folder(void **state)
{
    char path[] = "/tmp/inaetics-test-XXXXXX";

    if (!make_test_folder(path))
        return -1;
    *state = strdup(path);
    return *state ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    InaError error = {0};
    int r = folder_remove(*state, &error);

    if (r < 0)
        print_error("%s\n", error.message);
    free(*state);
    return r;
}

/* A path below the folder; valid until the next but seven. */
static inline const char *below(void **state, const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", (const char *)*state, name);
    return path;
}

static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}
