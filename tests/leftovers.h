/* leftovers.h - nothing is left of a test that failed.
 *
 * Whoever makes a folder removes it at the end of the test; what is still there
 * at the end of the program, because an assertion left the test before, goes
 * then. Children that are to be killed by the test ask for their end with
 * die_with_test(). */
#pragma once

#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

typedef struct TestFolder {
    struct TestFolder *next;
    pid_t owner; /* children that end in order leave it alone */
    char path[];
} TestFolder;

static TestFolder *test_folders;

static inline int remove_test_entry(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static inline void remove_test_folders(void)
{
    while (test_folders) {
        TestFolder *folder = test_folders;
        test_folders = folder->next;
        if (folder->owner == getpid())
            (void)nftw(folder->path, remove_test_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(folder);
    }
}

/* mkdtemp(); NULL: it failed. */
static inline char *make_test_folder(char *path)
{
    if (!mkdtemp(path))
        return NULL;
    size_t size = strlen(path) + 1;
    TestFolder *folder = calloc(1, sizeof *folder + size);
    if (!folder || (!test_folders && atexit(remove_test_folders) != 0)) {
        free(folder);
        (void)rmdir(path);
        return NULL;
    }
    folder->owner = getpid();
    memcpy(folder->path, path, size);
    folder->next = test_folders;
    test_folders = folder;
    return path;
}

/* For a child, at its beginning. */
static inline void die_with_test(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}
