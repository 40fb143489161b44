/* series.h - one figure of one part, with its last ten minutes. */
#pragma once

#include "model.h"

typedef struct Series {
    char *id; /* the name in lower case, other characters as '-' */
    char *name, *type, *unit, *part;
    const void *owner;     /* who reports it now; NULL: it is gone */
    uint64_t gone_since;   /* when owner is NULL, CLOCK_MONOTONIC ns */
    double value;
    size_t first, count;   /* of the rings */
    int64_t times[MODEL_POINTS_MAX];
    double values[MODEL_POINTS_MAX];
} Series;

Series *series_new(const char *id, const Demonstrator__V1__Series *from, const char *part);
Series *series_free(Series *series);
/* Takes the points that are later than the last one. */
void series_append(Series *series, const Demonstrator__V1__Series *from);
json_t *series_json(const Series *series, int64_t after_ms);
json_t *series_original(const Series *series);
void series_slug(const char *name, char *ret, size_t size);
json_t *json_number(double value); /* null for what JSON cannot say */
