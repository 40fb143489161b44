/* queued.h - which samples a queue's log holds that are not acknowledged yet.
 *
 * Reads the files of the log, also while the queue writes them, and changes
 * nothing. A sample that is acknowledged while they are read may be told or
 * not; one that is not acknowledged until the end is told. */
#pragma once

#include <inaetics/error.h>
#include <stdint.h>

/* `each` gets ranges [first, first + count) in any order, also overlapping
 * ones (a put that was repeated), until it returns other than 0, which is
 * returned. A folder that is not there holds nothing. */
int queued_read(const char *directory,
                int (*each)(void *userdata, const char *producer, uint64_t first, uint64_t count, InaError *error),
                void *userdata, InaError *error);
