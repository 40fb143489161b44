/* histogram.c - buckets by a double's exponent and its four highest bits of
 * fraction, so that a step is at most 1/16 of the value. */
#include "statistics.h"

#include <string.h>

#define SUB_BITS 4
#define BUCKETS 1024
#define LOWEST_EXPONENT (1023 - 20) /* 2^-20: about one millionth */

static unsigned bucket_of(double value)
{
    if (!(value > 0)) {
        return 0;
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint64_t key = bits >> (52 - SUB_BITS);
    uint64_t lowest = (uint64_t)LOWEST_EXPONENT << SUB_BITS;
    if (key < lowest) {
        return 0;
    }
    key -= lowest;
    return key < BUCKETS ? (unsigned)key : BUCKETS - 1;
}

static double middle_of(unsigned bucket)
{
    uint64_t key = bucket + ((uint64_t)LOWEST_EXPONENT << SUB_BITS);
    uint64_t bits = (key << (52 - SUB_BITS)) | (UINT64_C(1) << (51 - SUB_BITS));
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void histogram_add(Histogram *histogram, double value, uint32_t times)
{
    unsigned bucket = bucket_of(value);
    if (histogram->buckets[bucket] > UINT32_MAX - times) {
        return;
    }
    histogram->buckets[bucket] += times;
    histogram->count += times;
}

double histogram_percentile(const Histogram *histogram, double percent)
{
    double wanted = (double)histogram->count * percent / 100;
    uint64_t below = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        below += histogram->buckets[i];
        if (below > 0 && (double)below >= wanted) {
            return i == 0 ? 0 : middle_of(i);
        }
    }
    return 0;
}

void histogram_clear(Histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}
