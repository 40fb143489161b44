/* csv.c - a producer that replays a file: lines "TIME,VALUE1,VALUE2" (TIME in
 * seconds from any origin, not falling) or "VALUE1,VALUE2". Empty lines, lines
 * that begin with '#' and a first line of names are skipped.
 *
 * With timing=rate the lines come at the producer's rate; with timing=file in
 * their own distances, where 100 % is real time and 50 % takes twice as long.
 * At the end it begins again, unless repeat=false. */
#include "producer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 4096u

typedef struct CsvProducer {
    Producer producer;
    const char *file, *timing;
    bool repeat;
    FILE *stream;
    uint64_t line;      /* its number, from 1 */
    bool own_timing;
    bool pending;       /* time, value1 and value2 hold a line that is not due yet */
    bool began;         /* `begin` is set */
    double begin;       /* TIME of the file's first line */
    double played;      /* seconds of the file's time that have passed */
    uint64_t played_at; /* when `played` was brought up to date */
    double time, value1, value2;
} CsvProducer;

/* Up to three numbers of a line; 0 when it is anything else. */
static size_t numbers_of(const char *line, double numbers[3])
{
    size_t n = 0;
    for (const char *at = line; n < 3;) {
        char *end;
        numbers[n] = strtod(at, &end);
        if (end == at) {
            return 0;
        }
        n++;
        if (*end == '\0') {
            return n;
        }
        if (*end != ',') {
            return 0;
        }
        at = end + 1;
    }
    return 0;
}

/* 1: a sample is pending, 0: the line has none, negative: `error` is set. */
static int parse(CsvProducer *csv, char *line, InaError *error)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (*line == '\0' || *line == '#') {
        return 0;
    }
    double numbers[3];
    size_t n = numbers_of(line, numbers);
    if (n < (csv->own_timing ? 3u : 2u)) {
        if (csv->line == 1) {
            return 0; /* names of the columns */
        }
        return ina_error_set(error, EBADMSG, "%s:%llu: \"%.60s\" found where %s was expected", csv->file,
                             (unsigned long long)csv->line, line,
                             csv->own_timing ? "TIME,VALUE1,VALUE2" : "VALUE1,VALUE2 or TIME,VALUE1,VALUE2");
    }
    csv->time = n == 3 ? numbers[0] : 0;
    csv->value1 = numbers[n - 2];
    csv->value2 = numbers[n - 1];
    csv->pending = true;
    if (!csv->began) {
        csv->began = true;
        csv->begin = csv->time;
    }
    return 1;
}

static void begin_again(CsvProducer *csv)
{
    rewind(csv->stream);
    csv->line = 0;
    csv->began = false;
    csv->played = 0;
}

/* 1: the next sample is pending, 0: there is none (any more), negative: `error` is set. */
static int advance(CsvProducer *csv, InaError *error)
{
    char line[LINE_BYTES_MAX];
    for (bool again = false;;) {
        if (!fgets(line, sizeof(line), csv->stream)) {
            if (ferror(csv->stream)) {
                return ina_error_errno(error, EIO, "%s", csv->file);
            }
            if (!csv->repeat || again) {
                return 0;
            }
            again = true; /* a file without a sample is not read for ever */
            begin_again(csv);
            continue;
        }
        csv->line++;
        if (!strchr(line, '\n') && !feof(csv->stream)) {
            return ina_error_set(error, EBADMSG, "%s:%llu: the line is longer than %u bytes", csv->file,
                                 (unsigned long long)csv->line, LINE_BYTES_MAX);
        }
        int r = parse(csv, line, error);
        if (r != 0) {
            return r;
        }
    }
}

static size_t make(void *self, size_t due, int64_t *time_us, double *value1, double *value2)
{
    CsvProducer *csv = self;
    uint64_t now = ina_now();
    csv->played += (double)(now - csv->played_at) / (double)INA_SECOND * csv->producer.percent / 100;
    csv->played_at = now;
    size_t most = csv->own_timing ? PRODUCER_BATCH_MAX : due;
    int64_t time = ina_wall_clock_us();
    size_t made = 0;
    while (made < most) {
        InaError error = {0};
        int r = csv->pending ? 1 : advance(csv, &error);
        if (r < 0) {
            ina_component_fail(csv->producer.component, "%s", error.message);
            return made;
        }
        if (r == 0 || (csv->own_timing && csv->time - csv->begin > csv->played)) {
            return made;
        }
        time_us[made] = time;
        value1[made] = csv->value1;
        value2[made] = csv->value2;
        csv->pending = false;
        made++;
    }
    return made;
}

static int start(void *self, InaComponent *component, InaError *error)
{
    CsvProducer *csv = self;
    csv->own_timing = strcmp(csv->timing, "file") == 0;
    if (!csv->own_timing && strcmp(csv->timing, "rate") != 0) {
        return ina_error_set(error, EINVAL, "timing: \"%s\" is neither \"rate\" nor \"file\"", csv->timing);
    }
    csv->stream = fopen(csv->file, "re");
    if (!csv->stream) {
        return ina_error_errno(error, errno, "file: %s", csv->file);
    }
    csv->played_at = ina_now();
    int r = advance(csv, error);
    if (r <= 0) {
        return r < 0 ? r : ina_error_set(error, ENODATA, "%s: there is no sample in it", csv->file);
    }
    return producer_start(&csv->producer, component, "csv", make, error);
}

static void stop(void *self)
{
    CsvProducer *csv = self;
    producer_stop(&csv->producer);
    if (csv->stream) {
        fclose(csv->stream);
    }
}

static const InaProvided provides[] = {PRODUCER_PROVIDES};
static const InaRequired requires[] = {PRODUCER_REQUIRES};
static const InaConfig config[] = {
    PRODUCER_CONFIG,
    {.key = "file",
     .type = INA_TYPE_STRING,
     .offset = offsetof(CsvProducer, file),
     .description = "path of the file to replay",
     .required = true},
    {.key = "timing",
     .type = INA_TYPE_STRING,
     .offset = offsetof(CsvProducer, timing),
     .value = "rate",
     .description = "\"rate\": at the producer's rate; \"file\": in the file's own distances"},
    {.key = "repeat",
     .type = INA_TYPE_BOOLEAN,
     .offset = offsetof(CsvProducer, repeat),
     .value = "true",
     .description = "begin again at the end"},
};

static const InaComponentClass components[] = {{
    .name = "producer",
    .size = sizeof(CsvProducer),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
