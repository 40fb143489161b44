/* audit_line.c - the text of an audit event; see audit.h. */
#include "audit.h"
#include "base/map.h"
#include "framework/manifest.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_MAX INT32_MAX

/* --- reading ---------------------------------------------------------------------- */

typedef struct Columns {
    const char *at, *end;
    bool done;
} Columns;

/* The next column, as it stands. */
static bool next_column(Columns *columns, const char **ret, size_t *ret_size)
{
    if (columns->done)
        return false;
    const char *comma = memchr(columns->at, ',', (size_t)(columns->end - columns->at));
    *ret = columns->at;
    *ret_size = (size_t)((comma ? comma : columns->end) - columns->at);
    columns->done = !comma;
    columns->at = comma ? comma + 1 : columns->end;
    return true;
}

static int wrong(InaError *error, const char *column, const char *what)
{
    return ina_error_set(error, EINVAL, "audit event, %s: %s", column, what);
}

/* What a message may hold anything in (a Java exception's text, say) must not stop its log for ever: bytes that
 * cannot be shown are replaced. */
static void make_text(char *text)
{
    for (char *p = text; *p;) {
        size_t length = (unsigned char)*p < 0x80             ? 1
                        : ((unsigned char)*p & 0xe0) == 0xc0 ? 2
                        : ((unsigned char)*p & 0xf0) == 0xe0 ? 3
                                                             : 4;
        if (strnlen(p, length) < length || !manifest_text_valid(p, length)) {
            if (*p != '\n' && *p != '\r')
                *p = '?';
            length = 1;
        }
        p += length;
    }
}

static int decode(const char *text, size_t size, const char *column, char **ret, InaError *error)
{
    static const char codes[] = "$knre", meanings[] = "$,\n\r";
    char *out = malloc(size + 1), *end = out;

    if (!out)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < size; i++) {
        const char *code = NULL;
        if (text[i] == '$') {
            code = ++i < size && text[i] ? strchr(codes, text[i]) : NULL;
            if (!code) {
                free(out);
                return wrong(error, column, "behind '$' comes one of $, k, n, r, e");
            }
        }
        if (text[i] == '\0') {
            free(out);
            return wrong(error, column, "a NUL byte");
        }
        if (!code || *code != 'e')
            *end++ = code ? meanings[code - codes] : text[i];
    }
    *end = '\0';
    *ret = out;
    return 0;
}

static int read_number(Columns *columns, const char *column, int64_t maximum, int64_t *ret, InaError *error)
{
    const char *text;
    size_t size;
    int64_t value = 0;

    if (!next_column(columns, &text, &size))
        return wrong(error, column, "is missing; right would be target,log,sequence,time,type[,key,value]*");
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text[i] - '0', &value))
            return wrong(error, column, "is no number");
    if (size == 0 || value > maximum)
        return wrong(error, column, size == 0 ? "is empty" : "is too large");
    *ret = value;
    return 0;
}

static int read_target(Columns *columns, AuditEvent *event, InaError *error)
{
    const char *text;
    size_t size;

    (void)next_column(columns, &text, &size);
    int r = decode(text, size, "target", &event->target, error);
    if (r < 0)
        return r;
    size = strlen(event->target);
    if (size == 0 || size > AUDIT_TARGET_MAX || !manifest_text_valid(event->target, size))
        return wrong(error, "target", "is no name");
    return 0;
}

static int read_entries(Columns *columns, AuditEvent *event, InaError *error)
{
    const char *key, *value;
    size_t key_size, value_size;

    while (next_column(columns, &key, &key_size)) {
        if (!next_column(columns, &value, &value_size))
            return wrong(error, "the last key", "has no value");
        if (event->n_entries >= AUDIT_ENTRIES_MAX)
            return wrong(error, "entries", "more than 64");
        if (!manifest_text_valid(key, key_size))
            return wrong(error, "a key", "is no text");
        char *copy = strndup(key, key_size);
        if (!copy)
            return ina_error_set(error, ENOMEM, "out of memory");
        event->entries[event->n_entries++].key = copy;
        int r = decode(value, value_size, "a value", &event->entries[event->n_entries - 1].value, error);
        if (r < 0)
            return r;
        make_text(event->entries[event->n_entries - 1].value);
    }
    return 0;
}

int audit_parse(const char *line, size_t size, AuditEvent *ret, InaError *error)
{
    Columns columns = {line, line + size, false};
    AuditEvent *event = calloc(1, sizeof *event);

    if (!event)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = size > AUDIT_LINE_MAX ? ina_error_set(error, EFBIG, "an audit event of more than %u bytes", AUDIT_LINE_MAX)
                                  : read_target(&columns, event, error);
    if (r == 0)
        r = read_number(&columns, "log", INT64_MAX, &event->log, error);
    if (r == 0)
        r = read_number(&columns, "sequence", INT64_MAX - 1, &event->sequence, error);
    if (r == 0)
        r = read_number(&columns, "time", INT64_MAX, &event->time, error);
    if (r == 0)
        r = read_number(&columns, "type", TYPE_MAX, &event->type, error);
    if (r == 0)
        r = read_entries(&columns, event, error);
    if (r < 0)
        audit_event_clear(event);
    else
        *ret = *event;
    free(event);
    return r;
}

/* --- writing ------------------------------------------------------------------------ */

void audit_encode(Buffer *out, const char *text)
{
    if (*text == '\0')
        buffer_append(out, "$e", 2);
    for (const char *p = text; *p; p++)
        switch (*p) {
        case '$':
            buffer_append(out, "$$", 2);
            break;
        case ',':
            buffer_append(out, "$k", 2);
            break;
        case '\n':
            buffer_append(out, "$n", 2);
            break;
        case '\r':
            buffer_append(out, "$r", 2);
            break;
        default:
            buffer_append(out, p, 1);
        }
}

int audit_format(const AuditEvent *event, char **ret, InaError *error)
{
    Buffer out = {0};

    audit_encode(&out, event->target);
    buffer_print(&out, ",%lld,%lld,%lld,%lld", (long long)event->log, (long long)event->sequence,
                 (long long)event->time, (long long)event->type);
    for (size_t i = 0; i < event->n_entries; i++) {
        buffer_print(&out, ",%s,", event->entries[i].key);
        audit_encode(&out, event->entries[i].value);
    }
    if (out.failed) {
        buffer_free(&out);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = out.data;
    return 0;
}

/* --- looking -------------------------------------------------------------------------- */

const char *audit_event_get(const AuditEvent *event, const char *key)
{
    for (size_t i = 0; i < event->n_entries; i++)
        if (strcmp(event->entries[i].key, key) == 0)
            return event->entries[i].value;
    return NULL;
}

void audit_event_clear(AuditEvent *event)
{
    free(event->target);
    for (size_t i = 0; i < event->n_entries; i++) {
        free(event->entries[i].key);
        free(event->entries[i].value);
    }
    event->target = NULL;
    event->n_entries = 0;
}

const char *audit_type_name(int64_t type)
{
    static const struct {
        int64_t type;
        const char *name;
    } names[] = {
        {AUDIT_BUNDLE_INSTALLED, "bundle installed"},
        {2, "bundle resolved"},
        {AUDIT_BUNDLE_STARTED, "bundle started"},
        {AUDIT_BUNDLE_STOPPED, "bundle stopped"},
        {5, "bundle unresolved"},
        {AUDIT_BUNDLE_UPDATED, "bundle updated"},
        {AUDIT_BUNDLE_UNINSTALLED, "bundle uninstalled"},
        {8, "bundle starting"},
        {9, "bundle stopping"},
        {1001, "framework info"},
        {1002, "framework warning"},
        {AUDIT_FRAMEWORK_ERROR, "framework error"},
        {1004, "framework refreshed"},
        {AUDIT_FRAMEWORK_STARTED, "framework started"},
        {1006, "framework start level"},
        {AUDIT_DEPLOYMENT_INSTALL, "deployment install"},
        {2002, "deployment uninstall"},
        {AUDIT_DEPLOYMENT_COMPLETE, "deployment complete"},
        {AUDIT_CONTROL_INSTALL, "deployment control install"},
        {AUDIT_TARGET_PROPERTIES, "target properties set"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].type == type)
            return names[i].name;
    return "event";
}
