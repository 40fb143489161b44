/* store_format.c - packing and unpacking the payload of a stored batch. */
#include "store_format.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static uint64_t load64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return le64toh(value);
}

static void store64(uint8_t *to, uint64_t value)
{
    value = htole64(value);
    memcpy(to, &value, sizeof(value));
}

static double load_double(const uint8_t *from)
{
    uint64_t bits = load64(from);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* --- writing ------------------------------------------------------------ */

/* Times are kept as offsets from the smallest in as few bytes as the largest
 * offset needs: 0, 1, 2, 4 or 8. Dense batches need two bytes instead of eight. */
static unsigned width_of(uint64_t offset)
{
    if (offset == 0)
        return 0;
    if (offset <= UINT8_MAX)
        return 1;
    if (offset <= UINT16_MAX)
        return 2;
    return offset <= UINT32_MAX ? 4 : 8;
}

static void span_extend(StoreSpan *span, const int64_t *times, size_t count)
{
    int64_t first = span->first, last = span->last;
    for (size_t i = 0; i < count; i++) {
        first = times[i] < first ? times[i] : first;
        last = times[i] > last ? times[i] : last;
    }
    *span = (StoreSpan){first, last};
}

static uint8_t *write_times(uint8_t *to, const int64_t *times, size_t count, int64_t base, unsigned width)
{
    switch (width) {
    case 0:
        return to;
    case 1:
        for (size_t i = 0; i < count; i++)
            to[i] = (uint8_t)((uint64_t)times[i] - (uint64_t)base);
        break;
    case 2:
        for (size_t i = 0; i < count; i++) {
            uint16_t offset = htole16((uint16_t)((uint64_t)times[i] - (uint64_t)base));
            memcpy(to + 2 * i, &offset, sizeof(offset));
        }
        break;
    case 4:
        for (size_t i = 0; i < count; i++) {
            uint32_t offset = htole32((uint32_t)((uint64_t)times[i] - (uint64_t)base));
            memcpy(to + 4 * i, &offset, sizeof(offset));
        }
        break;
    default:
        for (size_t i = 0; i < count; i++)
            store64(to + 8 * i, (uint64_t)times[i] - (uint64_t)base);
    }
    return to + count * width;
}

static uint8_t *write_values(uint8_t *to, const double *values, size_t count)
{
#if __BYTE_ORDER == __LITTLE_ENDIAN
    memcpy(to, values, count * sizeof(double));
#else
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, values + i, sizeof(bits));
        store64(to + 8 * i, bits);
    }
#endif
    return to + count * sizeof(double);
}

size_t store_payload_write(const StoreColumns *pieces, size_t n_pieces, uint8_t *payload, StoreSpan *ret_times)
{
    StoreSpan times = {INT64_MAX, INT64_MIN}, processing = {INT64_MAX, INT64_MIN};
    size_t count = 0;
    for (size_t i = 0; i < n_pieces; i++) {
        span_extend(&times, pieces[i].time_us, pieces[i].count);
        span_extend(&processing, pieces[i].processing_time_us, pieces[i].count);
        count += pieces[i].count;
    }
    unsigned time_width = width_of((uint64_t)times.last - (uint64_t)times.first);
    unsigned processing_width = width_of((uint64_t)processing.last - (uint64_t)processing.first);

    uint32_t count32 = htole32((uint32_t)count);
    payload[0] = STORE_PAYLOAD_VERSION;
    payload[1] = (uint8_t)time_width;
    payload[2] = (uint8_t)processing_width;
    payload[3] = 0;
    memcpy(payload + 4, &count32, sizeof(count32));
    store64(payload + 8, (uint64_t)times.first);
    store64(payload + 16, (uint64_t)processing.first);

    uint8_t *to = payload + STORE_PAYLOAD_HEADER;
    for (size_t i = 0; i < n_pieces; i++)
        to = write_times(to, pieces[i].time_us, pieces[i].count, times.first, time_width);
    for (size_t i = 0; i < n_pieces; i++)
        to = write_values(to, pieces[i].value1, pieces[i].count);
    for (size_t i = 0; i < n_pieces; i++)
        to = write_values(to, pieces[i].value2, pieces[i].count);
    for (size_t i = 0; i < n_pieces; i++)
        to = write_times(to, pieces[i].processing_time_us, pieces[i].count, processing.first, processing_width);
    for (size_t i = 0; i < n_pieces; i++)
        to = write_values(to, pieces[i].result, pieces[i].count);
    *ret_times = times;
    return (size_t)(to - payload);
}

int store_span_class(StoreSpan span)
{
    uint64_t length = (uint64_t)span.last - (uint64_t)span.first;
    return length == 0 ? 0 : 64 - __builtin_clzll(length);
}

/* --- reading ------------------------------------------------------------ */

static bool width_valid(unsigned width)
{
    return width == 0 || width == 1 || width == 2 || width == 4 || width == 8;
}

int store_payload_read(const void *data, size_t size, uint64_t count, StorePayload *ret, InaError *error)
{
    const uint8_t *bytes = data;
    if (size < STORE_PAYLOAD_HEADER)
        return ina_error_set(error, EBADMSG, "payload of %zu bytes; its header alone has %u", size,
                             STORE_PAYLOAD_HEADER);
    if (bytes[0] != STORE_PAYLOAD_VERSION)
        return ina_error_set(error, EBADMSG, "payload of version %u; this program reads version %u", bytes[0],
                             STORE_PAYLOAD_VERSION);
    if (!width_valid(bytes[1]) || !width_valid(bytes[2]) || bytes[3] != 0)
        return ina_error_set(error, EBADMSG, "payload with column widths %u, %u and flags %u", bytes[1], bytes[2],
                             bytes[3]);
    uint32_t stored_count;
    memcpy(&stored_count, bytes + 4, sizeof(stored_count));
    stored_count = le32toh(stored_count);
    if (stored_count == 0 || stored_count > STORE_ROW_RESULTS_MAX || stored_count != count)
        return ina_error_set(error, EBADMSG, "payload of %u results in a row that says %llu", stored_count,
                             (unsigned long long)count);
    size_t expected = STORE_PAYLOAD_HEADER + (size_t)stored_count * (3u * 8u + bytes[1] + bytes[2]);
    if (size != expected)
        return ina_error_set(error, EBADMSG, "payload of %zu bytes; %u results of its columns take %zu", size,
                             stored_count, expected);

    StorePayload payload = {
        .count = stored_count,
        .time_width = bytes[1],
        .processing_width = bytes[2],
        .time_base = (int64_t)load64(bytes + 8),
        .processing_base = (int64_t)load64(bytes + 16),
        .time = bytes + STORE_PAYLOAD_HEADER,
    };
    payload.value1 = payload.time + (size_t)stored_count * payload.time_width;
    payload.value2 = payload.value1 + (size_t)stored_count * 8;
    payload.processing = payload.value2 + (size_t)stored_count * 8;
    payload.result = payload.processing + (size_t)stored_count * payload.processing_width;
    *ret = payload;
    return 0;
}

static int64_t read_time(const uint8_t *from, unsigned width, int64_t base, uint32_t index)
{
    uint64_t offset = 0;
    uint16_t offset16;
    uint32_t offset32;
    switch (width) {
    case 0:
        break;
    case 1:
        offset = from[index];
        break;
    case 2:
        memcpy(&offset16, from + (size_t)index * 2, sizeof(offset16));
        offset = le16toh(offset16);
        break;
    case 4:
        memcpy(&offset32, from + (size_t)index * 4, sizeof(offset32));
        offset = le32toh(offset32);
        break;
    default:
        offset = load64(from + (size_t)index * 8);
    }
    return (int64_t)((uint64_t)base + offset);
}

int64_t store_payload_time(const StorePayload *payload, uint32_t index)
{
    return read_time(payload->time, payload->time_width, payload->time_base, index);
}

int64_t store_payload_processing_time(const StorePayload *payload, uint32_t index)
{
    return read_time(payload->processing, payload->processing_width, payload->processing_base, index);
}

double store_payload_value1(const StorePayload *payload, uint32_t index)
{
    return load_double(payload->value1 + (size_t)index * 8);
}

double store_payload_value2(const StorePayload *payload, uint32_t index)
{
    return load_double(payload->value2 + (size_t)index * 8);
}

double store_payload_result(const StorePayload *payload, uint32_t index)
{
    return load_double(payload->result + (size_t)index * 8);
}
