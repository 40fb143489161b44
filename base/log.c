/* log.c - see log.h. */
#include "log.h"

#include "log_output.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static atomic_int lowest = INA_LOG_INFO;
static void (*observe)(void *userdata, InaLogLevel level, const char *line);
static void *observe_userdata;
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER; /* of all below and of log_output.c */
static uint64_t dropped, dropped_told;

static const struct {
    InaLogLevel level;
    const char *name;
} names[] = {
    {INA_LOG_ERROR, "error"}, {INA_LOG_WARNING, "warning"}, {INA_LOG_NOTICE, "notice"},
    {INA_LOG_INFO, "info"},   {INA_LOG_DEBUG, "debug"},
};
#define N_NAMES (sizeof(names) / sizeof(*names))

const char *ina_log_level_name(InaLogLevel level)
{
    for (size_t i = 0; i < N_NAMES; i++)
        if (names[i].level == level)
            return names[i].name;
    return "unknown";
}

int ina_log_level_from_name(const char *name, InaLogLevel *ret)
{
    for (size_t i = 0; name && i < N_NAMES; i++)
        if (strcmp(names[i].name, name) == 0) {
            *ret = names[i].level;
            return 0;
        }
    return -EINVAL;
}

void log_set_level(InaLogLevel level)
{
    atomic_store_explicit(&lowest, (int)level, memory_order_relaxed);
}

InaLogLevel log_level(void)
{
    return (InaLogLevel)atomic_load_explicit(&lowest, memory_order_relaxed);
}

void log_set_observer(void (*observer)(void *userdata, InaLogLevel level, const char *line), void *userdata)
{
    observe = observer;
    observe_userdata = userdata;
}

uint64_t log_dropped(void)
{
    pthread_mutex_lock(&output_lock);
    uint64_t n = dropped;
    pthread_mutex_unlock(&output_lock);
    return n;
}

void log_set_journal(const char *path)
{
    pthread_mutex_lock(&output_lock);
    log_output_set_journal(path);
    pthread_mutex_unlock(&output_lock);
}

/* --- making a line ------------------------------------------------------------ */

static const char cut_mark[] = " cut=true";

/* Room is kept for a closing quote, the mark and the newline. */
#define LINE_LIMIT (LOG_LINE_MAX - sizeof(cut_mark) - 2)

typedef struct Line {
    char text[LOG_LINE_MAX + 1];
    size_t size;
    bool cut;
} Line;

/* All of `text` or nothing, so that neither characters nor escapes are halved. */
static bool add(Line *line, const char *text, size_t size)
{
    if (line->cut || size > LINE_LIMIT - line->size) {
        line->cut = true;
        return false;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
    return true;
}

/* Length of the printable character at `text`: 0 when it is a control
 * character (C1 too: terminals obey them) or no UTF-8. */
static size_t printable(const unsigned char *text)
{
    unsigned char c = text[0];
    size_t length = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

    if (length == 1)
        return c >= 0x20 && c != 0x7f ? 1 : 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if (length == 2 && c == 0xc2 && text[1] < 0xa0)
        return 0;
    if (length == 3 && ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] >= 0xa0)))
        return 0;
    if (length == 3 && c == 0xe2 && text[1] == 0x80 && text[2] >= 0xa8 && text[2] <= 0xae)
        return 0; /* line separators and changes of direction */
    if (length == 4 && ((c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] >= 0x90)))
        return 0;
    return length;
}

static bool must_quote(const char *value)
{
    const unsigned char *p = (const unsigned char *)value;

    if (*p == '\0')
        return true;
    while (*p) {
        size_t length = printable(p);
        if (length == 0 || *p == ' ' || *p == '"' || *p == '=' || *p == '\\')
            return true;
        p += length;
    }
    return false;
}

static void add_escaped(Line *line, const char *value)
{
    const unsigned char *p = (const unsigned char *)value;

    while (*p) {
        char escape[8];
        size_t length = printable(p);

        if (*p == '"' || *p == '\\')
            snprintf(escape, sizeof(escape), "\\%c", *p);
        else if (length > 0)
            escape[0] = '\0';
        else if (*p == '\n' || *p == '\r' || *p == '\t')
            snprintf(escape, sizeof(escape), "\\%c", *p == '\n' ? 'n' : *p == '\r' ? 'r' : 't');
        else
            snprintf(escape, sizeof(escape), "\\x%02x", *p);
        if (escape[0] ? !add(line, escape, strlen(escape)) : !add(line, (const char *)p, length))
            return;
        p += length == 0 ? 1 : length;
    }
}

static void add_key(Line *line, const char *key)
{
    if (*key == '\0')
        key = "_";
    for (; *key; key++) {
        char c = *key;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                     c == '-' || c == '.';
        if (!add(line, plain ? &c : "_", 1))
            return;
    }
}

static void add_field(Line *line, const char *key, const char *value, bool always_quoted)
{
    if (line->size > 0)
        add(line, " ", 1);
    add_key(line, key);
    if (!add(line, "=", 1))
        return;
    if (!always_quoted && !must_quote(value)) {
        add_escaped(line, value);
        return;
    }
    if (!add(line, "\"", 1))
        return;
    add_escaped(line, value);
    line->text[line->size++] = '"'; /* its room is kept */
}

static void make_line(Line *line, InaLogLevel level, const LogField *fields, size_t n_fields)
{
    char text[64];
    struct timespec now;
    struct tm utc;

    line->size = 0;
    line->cut = false;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + length, sizeof(text) - length, ".%03ldZ", now.tv_nsec / 1000000);
    add_field(line, "time", text, false);
    add_field(line, "level", ina_log_level_name(level), false);
    for (size_t i = 0; i < n_fields && !line->cut; i++)
        add_field(line, fields[i].key, fields[i].value, i == 0);
    if (line->cut) {
        memcpy(line->text + line->size, cut_mark, sizeof(cut_mark) - 1);
        line->size += sizeof(cut_mark) - 1;
    }
    line->text[line->size] = '\0';
}

/* --- records -------------------------------------------------------------------- */

/* Whether nothing is left to be told. */
static bool tell_dropped(void)
{
    char number[24];
    Line line;

    if (dropped == dropped_told)
        return true;
    snprintf(number, sizeof(number), "%llu", (unsigned long long)(dropped - dropped_told));
    const LogField fields[] = {{"message", "log records dropped: nobody read them"}, {"records", number}};
    make_line(&line, INA_LOG_WARNING, fields, 2);
    line.text[line.size++] = '\n';
    if (!log_output_write(INA_LOG_WARNING, fields, 2, line.text, line.size))
        return false;
    dropped_told = dropped;
    return true;
}

void log_record(InaLogLevel level, const char *message, ...)
{
    LogField fields[LOG_FIELDS_MAX] = {{"message", message ? message : ""}};
    size_t n = 1;
    Line line;
    va_list arguments;
    int saved = errno;

    if (level > log_level())
        return;
    va_start(arguments, message);
    for (const char *key; n < LOG_FIELDS_MAX && (key = va_arg(arguments, const char *));) {
        const char *value = va_arg(arguments, const char *);
        fields[n++] = (LogField){key, value ? value : ""};
        if (!value)
            break; /* cannot be told from the end */
    }
    va_end(arguments);
    make_line(&line, level, fields, n);

    if (observe)
        observe(observe_userdata, level, line.text);
    line.text[line.size++] = '\n';
    pthread_mutex_lock(&output_lock);
    if (!tell_dropped() || !log_output_write(level, fields, n, line.text, line.size))
        dropped++;
    pthread_mutex_unlock(&output_lock);
    errno = saved;
}
