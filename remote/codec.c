#include "codec_internal.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t path_print(const CodecPath *path, char *buffer, size_t size)
{
    if (!path)
        return 0;
    size_t used = path_print(path->outer, buffer, size);
    if (used >= size)
        return used;
    int n = path->name ? snprintf(buffer + used, size - used, "%s%s", path->outer ? "." : "", path->name)
                       : snprintf(buffer + used, size - used, "[%zu]", path->index);
    return n < 0 ? used : used + (size_t)n;
}

int codec_path_error(const CodecPath *path, InaError *error, int code, const char *format, ...)
{
    char where[200] = "", what[300];
    path_print(path, where, sizeof(where));
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    return ina_error_set(error, code, "%s: %s", *where ? where : "message", what);
}

/* --- budget of memory --------------------------------------------------- */

CodecBudget codec_budget(size_t wire_size)
{
    size_t maximum = CODEC_MEMORY_MAX;
    if (wire_size < (CODEC_MEMORY_MAX - CODEC_MEMORY_BASE) / CODEC_MEMORY_FACTOR)
        maximum = CODEC_MEMORY_BASE + CODEC_MEMORY_FACTOR * wire_size;
    return (CodecBudget){.maximum = maximum};
}

bool codec_budget_take(CodecBudget *budget, size_t size)
{
    if (size > budget->maximum - budget->used) {
        budget->exceeded = true;
        return false;
    }
    budget->used += size;
    return true;
}

/* Small pieces cost more than they ask for. */
static size_t real_size(size_t size)
{
    return size + 16;
}

static void *budget_alloc(void *userdata, size_t size)
{
    CodecBudget *budget = userdata;
    if (!codec_budget_take(budget, real_size(size)))
        return NULL;
    return malloc(size);
}

/* What is freed while unpacking (scratch, merged duplicates) stays counted:
 * time spent is bounded too, then. */
static void budget_free(void *userdata, void *pointer)
{
    free(pointer);
}

ProtobufCAllocator codec_budget_allocator(CodecBudget *budget)
{
    return (ProtobufCAllocator){.alloc = budget_alloc, .free = budget_free, .allocator_data = budget};
}

/* --- UTF-8 -------------------------------------------------------------- */

/* RFC 3629, section 4: the table of well-formed sequences. */
static size_t sequence_length(const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char first, last, low, high;
        size_t length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        if (*at < forms[i].first || *at > forms[i].last)
            continue;
        if (left < forms[i].length || at[1] < forms[i].low || at[1] > forms[i].high)
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

size_t codec_utf8_span(const char *text, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t at = 0;
    while (at < size) {
        uint64_t word;
        if (size - at >= sizeof(word)) {
            memcpy(&word, bytes + at, sizeof(word));
            if (!(word & UINT64_C(0x8080808080808080))) {
                at += sizeof(word);
                continue;
            }
        }
        if (bytes[at] < 0x80) {
            at++;
            continue;
        }
        size_t length = sequence_length(bytes + at, size - at);
        if (!length)
            return at;
        at += length;
    }
    return at;
}

/* --- names -------------------------------------------------------------- */

char *codec_json_name(const char *name, char *out)
{
    bool upper = false;
    for (; *name; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        *out++ = upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
        upper = false;
    }
    return out;
}
