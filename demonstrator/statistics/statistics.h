/* statistics.h - what a component measures of itself: figures sampled each
 * second and kept for ten minutes, served by contract demonstrator.v1.Statistics.
 *
 * A component makes one in start, adds its figures, hands the contract's call
 * to statistics_reply and frees it in stop. In the loop's thread only. */
#pragma once

#include "statistics.service.h"
#include <inaetics/bundle.h>

#define STATISTICS_POINTS_MAX 600u /* ten minutes at one a second */
#define STATISTICS_SERIES_MAX 16u

/* Distribution of a positive figure, in steps of at most 6.25 %. */
typedef struct Histogram {
    uint64_t count;
    uint32_t buckets[1024];
} Histogram;

void histogram_add(Histogram *histogram, double value, uint32_t times);
double histogram_percentile(const Histogram *histogram, double percent); /* 0 when empty */
void histogram_clear(Histogram *histogram);

typedef struct Statistics Statistics;

Statistics *statistics_new(InaComponent *component);
/* A figure read each second. `name` is shown to people; type and unit as statistics.proto has them. All copied. */
void statistics_add(Statistics *statistics, const char *name, const char *type, const char *unit,
                    double (*read)(void *userdata), void *userdata);
/* The growth of a counter per second. */
void statistics_add_rate(Statistics *statistics, const char *name, const char *unit, const uint64_t *counter);
/* A percentile of what was added in the last second; the histogram is cleared each second. */
void statistics_add_percentile(Statistics *statistics, const char *name, const char *unit, Histogram *histogram,
                               double percent);
void statistics_reply(Statistics *statistics, InaCall *call, const Demonstrator__V1__StatisticsRequest *request);
Statistics *statistics_free(Statistics *statistics);

/* The value of the property `type` by which a Statistics service is found. */
#define STATISTICS_PROVIDED(statistics_table, type_name)                                                               \
    {                                                                                                                  \
        .contract = &demonstrator_v1_statistics_contract, .table = (statistics_table), .exported = true,               \
        .properties = (const InaProperty[]){INA_STRING("type", (type_name))}, .n_properties = 1                        \
    }
