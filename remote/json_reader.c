#include "json_reader.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int malformed(JsonReader *reader, const CodecPath *path, const char *what)
{
    return codec_path_error(path, reader->error, EBADMSG, "%s at byte %zu", what, (size_t)(reader->at - reader->start));
}

char reader_peek(JsonReader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
        reader->at++;
    return reader->at < reader->end ? *reader->at : 0;
}

bool reader_take(JsonReader *reader, char c)
{
    if (reader_peek(reader) != c || reader->at == reader->end)
        return false;
    reader->at++;
    return true;
}

int reader_expect(JsonReader *reader, const CodecPath *path, char c)
{
    if (reader_take(reader, c))
        return 0;
    char expected[] = "'?'";
    expected[1] = c;
    return reader_wrong(reader, path, expected);
}

bool reader_word(JsonReader *reader, const char *word)
{
    size_t length = strlen(word);
    if (reader_peek(reader) != *word || (size_t)(reader->end - reader->at) < length ||
        memcmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

const char *reader_what(JsonReader *reader)
{
    char c = reader_peek(reader);
    if (reader->at == reader->end)
        return "the end of the text";
    switch (c) {
    case '{':
        return "an object";
    case '[':
        return "an array";
    case '"':
        return "a string";
    case 't':
    case 'f':
        return "a boolean";
    case 'n':
        return "null";
    case ',':
        return "','";
    case ':':
        return "':'";
    case ']':
        return "']'";
    case '}':
        return "'}'";
    default:
        return c == '-' || (c >= '0' && c <= '9') ? "a number" : "something that is no JSON";
    }
}

int reader_wrong(JsonReader *reader, const CodecPath *path, const char *expected)
{
    const char *what = reader_what(reader);
    return codec_path_error(path, reader->error, EBADMSG, "expected %s, found %s at byte %zu", expected, what,
                            (size_t)(reader->at - reader->start));
}

/* --- numbers ------------------------------------------------------------ */

static const char *digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Where the number that begins at `at` ends; NULL when there is none. */
static const char *number_end(const char *at, const char *end)
{
    if (at < end && *at == '-')
        at++;
    const char *from = at;
    at = digits(at, end);
    if (at == from || (*from == '0' && at > from + 1))
        return NULL;
    if (at < end && *at == '.') {
        from = ++at;
        at = digits(at, end);
        if (at == from)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        from = at;
        at = digits(at, end);
        if (at == from)
            return NULL;
    }
    return at;
}

bool reader_is_number(const char *text, size_t size)
{
    return size > 0 && number_end(text, text + size) == text + size;
}

int reader_number(JsonReader *reader, const CodecPath *path, char text[static JSON_NUMBER_MAX])
{
    char c = reader_peek(reader);
    if (c != '-' && (c < '0' || c > '9'))
        return reader_wrong(reader, path, "a number");
    const char *end = number_end(reader->at, reader->end);
    if (!end)
        return malformed(reader, path, "malformed number");
    size_t length = (size_t)(end - reader->at);
    if (length >= JSON_NUMBER_MAX)
        return malformed(reader, path, "number of too many digits");
    memcpy(text, reader->at, length);
    text[length] = 0;
    reader->at = end;
    return 0;
}

/* --- strings ------------------------------------------------------------ */

/* Four hexadecimal digits; -1 when there are none. */
static int hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static size_t utf8_put(char *out, unsigned code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* Reads what follows a backslash; up to 4 bytes into `out`. */
static int escape(JsonReader *reader, const CodecPath *path, char *out, size_t *ret_size)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char c = reader->at < reader->end ? *reader->at++ : 0;
    const char *simple = c ? strchr(letters, c) : NULL;
    if (simple) {
        *out = meanings[simple - letters];
        *ret_size = 1;
        return 0;
    }
    int code = c == 'u' ? hex4(reader->at, reader->end) : -1;
    if (code < 0)
        return malformed(reader, path, "malformed escape in a string");
    reader->at += 4;
    if (code == 0)
        return malformed(reader, path, "the string has a NUL in it");
    if (code >= 0xd800 && code < 0xe000) {
        bool pair = reader->end - reader->at >= 6 && reader->at[0] == '\\' && reader->at[1] == 'u';
        int low = code < 0xdc00 && pair ? hex4(reader->at + 2, reader->end) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return malformed(reader, path, "half a surrogate pair in a string");
        reader->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *ret_size = utf8_put(out, (unsigned)code);
    return 0;
}

/* How far the string that begins here can be taken as it is. */
static size_t plain_span(const JsonReader *reader)
{
    const char *at = reader->at;
    while (at < reader->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return (size_t)(at - reader->at);
}

/* The string's text without quotes into `out`, which has room for as much as
 * there is text up to the closing quote (escapes only shrink). */
static int string_body(JsonReader *reader, const CodecPath *path, char *out, size_t room, size_t *ret_size)
{
    size_t size = 0;
    for (;;) {
        size_t span = plain_span(reader), valid = codec_utf8_span(reader->at, span);
        if (valid < span) {
            reader->at += valid;
            return malformed(reader, path, "the string is not UTF-8");
        }
        if (span > room - size)
            span = room - size; /* a short string that is cut */
        memcpy(out + size, reader->at, span);
        size += span;
        reader->at += valid;
        if (reader->at == reader->end)
            return malformed(reader, path, "a string without end");
        if (*reader->at == '"') {
            reader->at++;
            *ret_size = size;
            return 0;
        }
        if (*reader->at != '\\')
            return malformed(reader, path, "a control character in a string");
        reader->at++;
        char piece[4];
        size_t length = 0;
        int r = escape(reader, path, piece, &length);
        if (r < 0)
            return r;
        if (length > room - size)
            length = room - size;
        memcpy(out + size, piece, length);
        size += length;
    }
}

/* The bytes up to the closing quote, an upper bound of the string's length. */
static size_t raw_length(const JsonReader *reader)
{
    const char *at = reader->at;
    while (at < reader->end && *at != '"')
        at += *at == '\\' && at + 1 < reader->end ? 2 : 1;
    return (size_t)(at - reader->at);
}

int reader_string(JsonReader *reader, const CodecPath *path, char **ret, size_t *ret_size)
{
    if (!reader_take(reader, '"'))
        return reader_wrong(reader, path, "a string");
    size_t room = raw_length(reader), size;
    if (!codec_budget_take(reader->budget, room + 1 + 16))
        return codec_path_error(path, reader->error, EMSGSIZE, "the message takes more than %zu bytes of memory",
                                reader->budget->maximum);
    char *text = malloc(room + 1);
    if (!text)
        return codec_path_error(path, reader->error, ENOMEM, "no memory");
    int r = string_body(reader, path, text, room, &size);
    if (r < 0) {
        free(text);
        return r;
    }
    text[size] = 0;
    *ret = text;
    *ret_size = size;
    return 0;
}

int reader_short_string(JsonReader *reader, const CodecPath *path, char *buffer, size_t size, bool *ret_cut)
{
    if (!reader_take(reader, '"'))
        return reader_wrong(reader, path, "a string");
    size_t length = 0;
    int r = string_body(reader, path, buffer, size, &length);
    if (r < 0)
        return r;
    *ret_cut = length == size;
    buffer[*ret_cut ? 0 : length] = 0;
    return 0;
}

/* --- any value ---------------------------------------------------------- */

static int skip_members(JsonReader *reader, const CodecPath *path, char close, unsigned depth)
{
    if (reader_take(reader, close))
        return 0;
    do {
        int r = 0;
        if (close == '}') {
            char key[1];
            bool cut;
            r = reader_short_string(reader, path, key, sizeof(key), &cut);
            if (r >= 0)
                r = reader_expect(reader, path, ':');
        }
        if (r >= 0)
            r = reader_skip(reader, path, depth + 1);
        if (r < 0)
            return r;
    } while (reader_take(reader, ','));
    return reader_expect(reader, path, close);
}

int reader_skip(JsonReader *reader, const CodecPath *path, unsigned depth)
{
    char text[JSON_NUMBER_MAX];
    bool cut;
    if (depth > CODEC_DEPTH_MAX)
        return codec_path_error(path, reader->error, EMSGSIZE, "values are nested deeper than %u", CODEC_DEPTH_MAX);
    switch (reader_peek(reader)) {
    case '{':
        reader->at++;
        return skip_members(reader, path, '}', depth);
    case '[':
        reader->at++;
        return skip_members(reader, path, ']', depth);
    case '"':
        return reader_short_string(reader, path, text, sizeof(text), &cut);
    case 't':
    case 'f':
    case 'n':
        if (reader_word(reader, "true") || reader_word(reader, "false") || reader_word(reader, "null"))
            return 0;
        return reader_wrong(reader, path, "a value");
    default:
        return reader_number(reader, path, text);
    }
}
