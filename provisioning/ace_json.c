/* ace_json.c - see ace_json.h. */
#include "ace_json.h"

#include "base/map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DEPTH_MAX 16u

typedef struct Reader {
    const char *text;
    size_t at, size;
    unsigned depth;
    InaError *error;
} Reader;

static int read_value(Reader *reader, json_t **ret);

static int refuse(const Reader *reader, const char *expected)
{
    return ina_error_set(reader->error, EINVAL, "JSON, character %zu: expected is %s", reader->at + 1, expected);
}

static int peek(const Reader *reader)
{
    return reader->at < reader->size ? (unsigned char)reader->text[reader->at] : -1;
}

static bool begins(const Reader *reader, const char *text)
{
    size_t length = strlen(text);
    return reader->size - reader->at >= length && memcmp(reader->text + reader->at, text, length) == 0;
}

static void skip_line(Reader *reader)
{
    while (peek(reader) >= 0 && peek(reader) != '\n')
        reader->at++;
}

static int skip_blank(Reader *reader)
{
    for (;;) {
        int c = peek(reader);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            reader->at++;
        } else if (c == '#' || begins(reader, "//")) {
            skip_line(reader);
        } else if (begins(reader, "/*")) {
            reader->at += 2;
            while (peek(reader) >= 0 && !begins(reader, "*/"))
                reader->at++;
            if (peek(reader) < 0)
                return refuse(reader, "the end of the comment, */");
            reader->at += 2;
        } else {
            return 0;
        }
    }
}

/* --- texts ----------------------------------------------------------------------------- */

static void put_utf8(Buffer *out, uint32_t code)
{
    char bytes[4];
    size_t n = 0;
    if (code < 0x80) {
        bytes[n++] = (char)code;
    } else if (code < 0x800) {
        bytes[n++] = (char)(0xc0 | code >> 6);
        bytes[n++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        bytes[n++] = (char)(0xe0 | code >> 12);
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (code & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | code >> 18);
        bytes[n++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (code & 0x3f));
    }
    buffer_append(out, bytes, n);
}

static int read_hex(Reader *reader, uint32_t *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < 4; i++) {
        int c = peek(reader);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return refuse(reader, "four hexadecimal digits");
        *ret = *ret << 4 | (uint32_t)digit;
        reader->at++;
    }
    return 0;
}

static int read_unicode(Reader *reader, Buffer *out)
{
    uint32_t code, low;
    int r = read_hex(reader, &code);
    if (r < 0)
        return r;
    if (code >= 0xd800 && code < 0xdc00) {
        if (!begins(reader, "\\u"))
            return refuse(reader, "the second half of a surrogate pair");
        reader->at += 2;
        if ((r = read_hex(reader, &low)) < 0)
            return r;
        if (low < 0xdc00 || low > 0xdfff)
            return refuse(reader, "the second half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if ((code >= 0xdc00 && code < 0xe000) || code == 0) {
        return refuse(reader, "a character (not a half of one, not NUL)");
    }
    put_utf8(out, code);
    return 0;
}

static int read_escape(Reader *reader, Buffer *out)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    int c = peek(reader);
    if (c <= 0)
        return refuse(reader, "the rest of the string");
    reader->at++;
    if (c == 'u')
        return read_unicode(reader, out);
    const char *place = strchr(names, c);
    char value = place ? values[place - names] : (char)c;
    buffer_append(out, &value, 1);
    return 0;
}

static int read_quoted(Reader *reader, Buffer *out)
{
    int quote = peek(reader);
    reader->at++;
    for (int c; (c = peek(reader)) != quote;) {
        if (c < 0)
            return refuse(reader, "the end of the string");
        if (c == 0)
            return refuse(reader, "no NUL");
        reader->at++;
        char byte = (char)c;
        int r = 0;
        if (c == '\\')
            r = read_escape(reader, out);
        else
            buffer_append(out, &byte, 1);
        if (r < 0)
            return r;
    }
    reader->at++;
    return 0;
}

static bool ends_literal(int c)
{
    return c < 0 || strchr("{}[]:=,;\"'#/\\ \t\r\n", c) != NULL;
}

/* `ret_null`: it was the word null, without quotes. */
static int read_text(Reader *reader, Buffer *out, bool *ret_null)
{
    int c = peek(reader);
    *ret_null = false;
    buffer_append(out, "", 0);
    if (c == '"' || c == '\'')
        return read_quoted(reader, out);
    size_t begin = reader->at;
    while (!ends_literal(peek(reader)))
        reader->at++;
    if (reader->at == begin)
        return refuse(reader, "a text");
    buffer_append(out, reader->text + begin, reader->at - begin);
    *ret_null = reader->at - begin == 4 && memcmp(reader->text + begin, "null", 4) == 0;
    return 0;
}

/* --- values ------------------------------------------------------------------------------- */

static int read_string(Reader *reader, json_t **ret)
{
    Buffer out = {0};
    bool is_null;
    int r = read_text(reader, &out, &is_null);
    if (r >= 0 && out.failed)
        r = ina_error_set(reader->error, ENOMEM, "no memory");
    if (r >= 0) {
        *ret = is_null ? json_null() : json_stringn(out.data, out.size);
        if (!*ret)
            r = refuse(reader, "UTF-8");
    }
    buffer_free(&out);
    return r;
}

static int read_member(Reader *reader, json_t *object)
{
    Buffer name = {0};
    json_t *value = NULL;
    bool is_null;
    int r = read_text(reader, &name, &is_null);
    if (r >= 0)
        r = skip_blank(reader);
    int c = peek(reader);
    if (r >= 0 && c != ':' && c != '=')
        r = refuse(reader, "':'");
    if (r >= 0) {
        reader->at += begins(reader, "=>") ? 2 : 1;
        r = read_value(reader, &value);
    }
    if (r >= 0 && (name.failed || memchr(name.data, '\0', name.size)))
        r = refuse(reader, "a name without NUL");
    if (r >= 0 && !json_is_null(value) && json_object_set(object, name.data, value) < 0)
        r = refuse(reader, "a name in UTF-8");
    json_decref(value);
    buffer_free(&name);
    return r;
}

/* Members or items up to `end`. */
static int read_many(Reader *reader, json_t *into, int end)
{
    reader->at++;
    for (;;) {
        int r = skip_blank(reader);
        if (r < 0)
            return r;
        if (peek(reader) == end) {
            reader->at++;
            return 0;
        }
        json_t *item = NULL;
        r = end == '}' ? read_member(reader, into) : read_value(reader, &item);
        if (item)
            json_array_append_new(into, item);
        if (r < 0 || (r = skip_blank(reader)) < 0)
            return r;
        int c = peek(reader);
        if (c == ',' || c == ';')
            reader->at++;
        else if (c != end)
            return refuse(reader, end == '}' ? "',' or '}'" : "',' or ']'");
    }
}

static int read_value(Reader *reader, json_t **ret)
{
    int r = skip_blank(reader);
    int c = peek(reader);
    if (r < 0)
        return r;
    if (c != '{' && c != '[')
        return read_string(reader, ret);
    if (++reader->depth > DEPTH_MAX)
        return refuse(reader, "fewer nested brackets");
    json_t *value = c == '{' ? json_object() : json_array();
    if (!value)
        return ina_error_set(reader->error, ENOMEM, "no memory");
    r = read_many(reader, value, c == '{' ? '}' : ']');
    reader->depth--;
    if (r < 0) {
        json_decref(value);
        return r;
    }
    *ret = value;
    return 0;
}

int ace_json_parse(const char *text, size_t size, json_t **ret, InaError *error)
{
    Reader reader = {.text = text, .size = size, .error = error};
    json_t *value;
    if (size > ACE_JSON_MAX)
        return ina_error_set(error, EFBIG, "the text is larger than %u bytes", ACE_JSON_MAX);
    int r = read_value(&reader, &value);
    if (r < 0)
        return r;
    r = skip_blank(&reader);
    if (r >= 0 && reader.at < reader.size)
        r = refuse(&reader, "the end");
    if (r < 0) {
        json_decref(value);
        return r;
    }
    *ret = value;
    return 0;
}
