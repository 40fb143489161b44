#include "log_filter.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void put(LogFilter *filter, const char *data, size_t size, Buffer *out)
{
    if (filter->limit >= 0 && (int64_t)size >= filter->limit) {
        size = (size_t)filter->limit;
        filter->full = true;
    }
    if (filter->limit >= 0)
        filter->limit -= (int64_t)size;
    buffer_append(out, data, size);
}

static void end_stamp(LogFilter *filter, Buffer *out)
{
    filter->within = true;
    filter->stamp[filter->n_stamp] = '\0';
    filter->skipped = filter->since[0] && strcmp(filter->stamp, filter->since) < 0;
    if (!filter->skipped && filter->timestamps) {
        put(filter, filter->stamp, filter->n_stamp, out);
        if (!filter->full)
            put(filter, " ", 1, out);
    }
    filter->n_stamp = 0;
}

void log_filter(LogFilter *filter, const char *data, size_t size, Buffer *out)
{
    while (size > 0 && !filter->full) {
        if (!filter->within) {
            char c = *data++;
            size--;
            if (c == ' ' || filter->n_stamp + 1 == sizeof filter->stamp)
                end_stamp(filter, out);
            else
                filter->stamp[filter->n_stamp++] = c;
            continue;
        }
        const char *newline = memchr(data, '\n', size);
        size_t part = newline ? (size_t)(newline - data) + 1 : size;
        if (!filter->skipped)
            put(filter, data, part, out);
        filter->within = !newline;
        data += part;
        size -= part;
    }
}

void log_filter_since(LogFilter *filter, uint64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm parts;
    char text[24];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
    snprintf(filter->since, sizeof filter->since, "%s.%09juZ", text, (uintmax_t)(us % 1000000 * 1000));
}
