/* series.c - see series.h. */
#include "series.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ORIGINAL_POINTS 24u /* the original kept that many */

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

void series_slug(const char *name, char *ret, size_t size)
{
    size_t length = 0;
    for (const char *c = name; *c && length + 1 < size; c++) {
        if (isalnum((unsigned char)*c) || *c == '_') {
            ret[length++] = (char)tolower((unsigned char)*c);
        } else if (length == 0 || ret[length - 1] != '-') {
            ret[length++] = '-';
        }
    }
    ret[length] = '\0';
}

Series *series_new(const char *id, const Demonstrator__V1__Series *from, const char *part)
{
    Series *series = calloc(1, sizeof(*series));
    if (!series) {
        return NULL;
    }
    series->id = strdup(id);
    series->name = strdup(from->name);
    series->type = strdup(from->type);
    series->unit = strdup(from->unit);
    series->part = strdup(part);
    if (!series->id || !series->name || !series->type || !series->unit || !series->part) {
        return series_free(series);
    }
    return series;
}

Series *series_free(Series *series)
{
    if (series) {
        free(series->id);
        free(series->name);
        free(series->type);
        free(series->unit);
        free(series->part);
        free(series);
    }
    return NULL;
}

void series_append(Series *series, const Demonstrator__V1__Series *from)
{
    series->value = from->value;
    size_t n = from->n_values < from->n_time_ms ? from->n_values : from->n_time_ms;
    for (size_t i = 0; i < n; i++) {
        if (series->count > 0) {
            size_t last = (series->first + series->count - 1) % MODEL_POINTS_MAX;
            if (from->time_ms[i] <= series->times[last]) {
                continue;
            }
        }
        size_t place = (series->first + series->count) % MODEL_POINTS_MAX;
        series->times[place] = from->time_ms[i];
        series->values[place] = from->values[i];
        if (series->count < MODEL_POINTS_MAX) {
            series->count++;
        } else {
            series->first = (series->first + 1) % MODEL_POINTS_MAX;
        }
    }
}

static void points(const Series *series, size_t skip, int64_t after_ms, json_t *times, json_t *values)
{
    for (size_t i = skip; i < series->count; i++) {
        size_t place = (series->first + i) % MODEL_POINTS_MAX;
        if (series->times[place] > after_ms) {
            json_array_append_new(times, json_integer(series->times[place]));
            json_array_append_new(values, json_number(series->values[place]));
        }
    }
}

json_t *series_json(const Series *series, int64_t after_ms)
{
    json_t *times = json_array(), *values = json_array();
    points(series, 0, after_ms, times, values);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o}", "id", series->id, "name", series->name, "type",
                     series->type, "unit", series->unit, "part", series->part, "present", series->owner != NULL,
                     "value", json_number(series->value), "times", times, "values", values);
}

json_t *series_original(const Series *series)
{
    json_t *times = json_array(), *values = json_array();
    points(series, series->count > ORIGINAL_POINTS ? series->count - ORIGINAL_POINTS : 0, 0, times, values);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "name", series->id, "displayName", series->name, "type",
                     series->type, "unit", series->unit, "timestamps", times, "values", values);
}
