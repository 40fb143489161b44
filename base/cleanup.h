/* cleanup.h - values that free themselves at the end of their scope. */
#pragma once

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

static inline void cleanup_folder(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

static inline void cleanup_json(json_t **json)
{
    json_decref(*json);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_fd)))
#define AUTO_FILE __attribute__((cleanup(cleanup_file)))
#define AUTO_FOLDER __attribute__((cleanup(cleanup_folder)))
#define AUTO_JSON __attribute__((cleanup(cleanup_json)))

/* Moves ownership out of a variable. */
#define TAKE_PTR(pointer)                                                                                              \
    ({                                                                                                                 \
        typeof(pointer) taken_ = (pointer);                                                                            \
        (pointer) = NULL;                                                                                              \
        taken_;                                                                                                        \
    })
