/* confine.h - processes that may write only below some folders (Landlock):
 * what they may read stays as it is. Where the kernel has no Landlock, or it is
 * off, nothing is confined. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>

/* Whether the kernel can do it. */
bool confine_possible(void);
/* A set of rules as a descriptor: `folders` and what every program needs (/dev, /proc). A folder that
 * is not there is left out. NULL-terminated. -1: not possible; then nothing is confined. */
int confine_rules(const char *const *folders);
/* In the new process, after no_new_privs was set; for itself and all that it starts. Returns 0 or -errno. */
int confine_self(int rules);
