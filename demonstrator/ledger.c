/* ledger.c - see ledger.h. */
#include "ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEDGER_SUFFIX ".ledger"
#define LEDGER_LINE_MAX 48 /* two numbers of 20 digits */

struct Ledger {
    int fd;
    char name[LEDGER_PRODUCER_MAX + sizeof LEDGER_SUFFIX];
};

static bool producer_name_valid(const char *producer)
{
    size_t length = strlen(producer);
    return length > 0 && length <= LEDGER_PRODUCER_MAX && producer[0] != '.' && !strchr(producer, '/');
}

int ledger_open(const char *directory, const char *producer, Ledger **ret, InaError *error)
{
    if (!producer_name_valid(producer)) {
        return ina_error_set(error, EINVAL,
                             "producer \"%.160s\" cannot name a ledger: 1 to %u bytes, no \"/\", no leading \".\"",
                             producer, LEDGER_PRODUCER_MAX);
    }
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        return ina_error_errno(error, errno, "cannot make folder %s", directory);
    }
    Ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger) {
        return ina_error_errno(error, ENOMEM, "ledger of %s", producer);
    }
    (void)snprintf(ledger->name, sizeof ledger->name, "%s" LEDGER_SUFFIX, producer);
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, ledger->name) >= sizeof path) {
        free(ledger);
        return ina_error_errno(error, ENAMETOOLONG, "ledger of %s in %.200s", producer, directory);
    }
    ledger->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (ledger->fd < 0) {
        int code = errno;
        free(ledger);
        return ina_error_errno(error, code, "cannot open %s", path);
    }
    *ret = ledger;
    return 0;
}

int ledger_append(Ledger *ledger, uint64_t first, uint64_t count, InaError *error)
{
    char line[LEDGER_LINE_MAX];

    if (count == 0 || count > UINT64_MAX - first) {
        return ina_error_set(error, EINVAL, "%s: [%" PRIu64 ", + %" PRIu64 ") is no range", ledger->name, first, count);
    }
    int length = snprintf(line, sizeof line, "%" PRIu64 " %" PRIu64 "\n", first, count);
    ssize_t written;
    do {
        written = write(ledger->fd, line, (size_t)length);
    } while (written < 0 && errno == EINTR);
    if (written == length) {
        return 0;
    }
    int code = written < 0 ? errno : ENOSPC;
    if (written > 0) {
        /* Part of a line must not stay in front of the next one. */
        off_t end = lseek(ledger->fd, 0, SEEK_END);
        if (end < written || ftruncate(ledger->fd, end - written) < 0) {
            code = EIO;
        }
    }
    return ina_error_errno(error, code, "cannot append to %s", ledger->name);
}

Ledger *ledger_free(Ledger *ledger)
{
    if (ledger) {
        close(ledger->fd);
        free(ledger);
    }
    return NULL;
}

/* --- reading ---------------------------------------------------------------- */

static bool parse_number(const char **cursor, char end, uint64_t *ret)
{
    const char *at = *cursor;
    uint64_t number = 0;

    if (*at < '0' || *at > '9') {
        return false;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
            return false;
        }
    }
    if (*at != end) {
        return false;
    }
    *cursor = at + 1;
    *ret = number;
    return true;
}

static int add_range(LedgerRanges *ranges, size_t *allocated, LedgerRange range)
{
    LedgerRange *last = ranges->n_ranges > 0 ? &ranges->ranges[ranges->n_ranges - 1] : NULL;

    if (last && last->first + last->count == range.first) {
        last->count += range.count; /* the usual case: a producer's ranges follow each other */
        return 0;
    }
    if (ranges->n_ranges == *allocated) {
        size_t more = *allocated ? *allocated * 2 : 16;
        LedgerRange *grown = more <= LEDGER_RANGES_MAX ? reallocarray(ranges->ranges, more, sizeof range) : NULL;
        if (!grown) {
            return -ENOMEM;
        }
        ranges->ranges = grown;
        *allocated = more;
    }
    ranges->ranges[ranges->n_ranges++] = range;
    return 0;
}

static int compare_ranges(const void *left, const void *right)
{
    uint64_t a = ((const LedgerRange *)left)->first, b = ((const LedgerRange *)right)->first;
    return (a > b) - (a < b);
}

static void merge_ranges(LedgerRanges *ranges)
{
    size_t kept = 0;

    if (ranges->n_ranges > 0) {
        qsort(ranges->ranges, ranges->n_ranges, sizeof *ranges->ranges, compare_ranges);
    }
    for (size_t i = 0; i < ranges->n_ranges; i++) {
        LedgerRange range = ranges->ranges[i];
        LedgerRange *last = kept > 0 ? &ranges->ranges[kept - 1] : NULL;
        uint64_t end = last ? last->first + last->count : 0;
        if (!last || range.first > end) {
            ranges->ranges[kept++] = range;
            continue;
        }
        uint64_t overlap = end - range.first;
        if (overlap >= range.count) {
            ranges->repeated += range.count;
        } else {
            ranges->repeated += overlap;
            last->count += range.count - overlap;
        }
    }
    ranges->n_ranges = kept;
    for (size_t i = 0; i < kept; i++) {
        ranges->count += ranges->ranges[i].count;
    }
}

static int read_lines(FILE *file, const char *path, LedgerRanges *ranges, InaError *error)
{
    char line[LEDGER_LINE_MAX + 2];
    size_t allocated = 0;

    for (uint64_t number = 1; fgets(line, sizeof line, file); number++) {
        const char *cursor = line;
        LedgerRange range;
        if (!strchr(line, '\n') && feof(file)) {
            ranges->torn = true;
            return 0;
        }
        if (!parse_number(&cursor, ' ', &range.first) || !parse_number(&cursor, '\n', &range.count) ||
            range.count == 0 || range.count > UINT64_MAX - range.first) {
            line[strcspn(line, "\n")] = '\0';
            return ina_error_set(error, EBADMSG, "%s:%" PRIu64 ": \"%s\" is not a line \"FIRST COUNT\"", path, number,
                                 line);
        }
        if (add_range(ranges, &allocated, range) < 0) {
            return ina_error_errno(error, ENOMEM, "%s:%" PRIu64, path, number);
        }
    }
    return ferror(file) ? ina_error_errno(error, errno, "cannot read %s", path) : 0;
}

int ledger_read(const char *path, LedgerRanges *ret, InaError *error)
{
    LedgerRanges ranges = {0};
    FILE *file = fopen(path, "re");

    if (!file) {
        return ina_error_errno(error, errno, "cannot open %s", path);
    }
    int result = read_lines(file, path, &ranges, error);
    (void)fclose(file);
    if (result < 0) {
        ledger_ranges_clear(&ranges);
        return result;
    }
    merge_ranges(&ranges);
    *ret = ranges;
    return 0;
}

void ledger_ranges_clear(LedgerRanges *ranges)
{
    free(ranges->ranges);
    *ranges = (LedgerRanges){0};
}

static int is_ledger(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(LEDGER_SUFFIX);
    return entry->d_name[0] != '.' && length > suffix && length <= LEDGER_PRODUCER_MAX + suffix &&
           strcmp(entry->d_name + length - suffix, LEDGER_SUFFIX) == 0;
}

static int read_named(const char *directory, const char *name,
                      int (*each)(void *userdata, const char *producer, const LedgerRanges *ranges, InaError *error),
                      void *userdata, InaError *error)
{
    char path[PATH_MAX], producer[LEDGER_PRODUCER_MAX + 1];
    LedgerRanges ranges;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path) {
        return ina_error_errno(error, ENAMETOOLONG, "%s in %.200s", name, directory);
    }
    int result = ledger_read(path, &ranges, error);
    if (result < 0) {
        return result;
    }
    (void)snprintf(producer, sizeof producer, "%.*s", (int)(strlen(name) - strlen(LEDGER_SUFFIX)), name);
    result = each(userdata, producer, &ranges, error);
    ledger_ranges_clear(&ranges);
    return result;
}

int ledger_read_all(const char *directory,
                    int (*each)(void *userdata, const char *producer, const LedgerRanges *ranges, InaError *error),
                    void *userdata, InaError *error)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_ledger, alphasort);
    int result = 0;

    if (count < 0) {
        return errno == ENOENT ? 0 : ina_error_errno(error, errno, "cannot list %s", directory);
    }
    if ((unsigned)count > LEDGER_FILES_MAX) {
        result =
            ina_error_set(error, E2BIG, "%s has %d ledgers; at most %u are read", directory, count, LEDGER_FILES_MAX);
    }
    for (int i = 0; i < count; i++) {
        if (result == 0) {
            result = read_named(directory, entries[i]->d_name, each, userdata, error);
        }
        free(entries[i]);
    }
    free(entries);
    return result;
}
