/* log_filter.h - from a container's log with a time before each line to what
 * was asked for: with or without the times, from a time on, up to a size. Pure;
 * lines may come in any pieces. */
#pragma once

#include "base/map.h"

#include <stdint.h>

#define LOG_STAMP_SIZE 40u

typedef struct LogFilter {
    bool timestamps;
    char since[LOG_STAMP_SIZE]; /* lines with an earlier time are left out; "": none */
    int64_t limit;              /* bytes; -1: none */
    /* Its state; zero at the beginning. */
    char stamp[LOG_STAMP_SIZE];
    size_t n_stamp;
    bool within;  /* behind the stamp of a line */
    bool skipped; /* this line */
    bool full;    /* the limit is reached: nothing follows */
} LogFilter;

void log_filter(LogFilter *filter, const char *data, size_t size, Buffer *out);
/* As it stands in a log; microseconds since 1970. */
void log_filter_since(LogFilter *filter, uint64_t us);
