/* http_parse.c - see http_parse.h. */
#include "http_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Header {
    unsigned lengths, encodings;
    uint64_t length;
    bool close, keep_alive;
} Header;

void http_parser_start(HttpParser *parser, bool head)
{
    http_parser_clear(parser);
    *parser = (HttpParser){.head = head};
}

void http_parser_clear(HttpParser *parser)
{
    free(parser->header);
    parser->header = NULL;
    parser->header_size = 0;
}

static int refuse(HttpParser *parser, const char *problem)
{
    parser->problem = problem;
    return -EPROTO;
}

/* --- header ------------------------------------------------------------- */

/* The end of the header: behind the first empty line, NULL when it has not come. */
static const char *find_end(const char *text, size_t size, size_t from)
{
    const char *end = text + size;

    for (const char *p = text + from; (p = memchr(p, '\n', (size_t)(end - p)));) {
        p++;
        if (p < end && *p == '\n')
            return p + 1;
        if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
            return p + 2;
    }
    return NULL;
}

static bool equals(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && strncasecmp(text, word, size) == 0;
}

static void read_connection(Header *header, const char *value, size_t size)
{
    const char *end = value + size;

    while (value < end) {
        const char *comma = memchr(value, ',', (size_t)(end - value));
        const char *last = comma ? comma : end;
        while (value < last && (*value == ' ' || *value == '\t'))
            value++;
        while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        if (equals(value, (size_t)(last - value), "close"))
            header->close = true;
        else if (equals(value, (size_t)(last - value), "keep-alive"))
            header->keep_alive = true;
        value = comma ? comma + 1 : end;
    }
}

static bool read_number(const char *text, size_t size, uint64_t *ret)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
            return false;
    *ret = number;
    return size > 0;
}

static int read_field(HttpParser *parser, Header *header, const char *name, size_t name_size, const char *value,
                      size_t size)
{
    uint64_t length;

    switch (name_size) {
    case 10:
        if (equals(name, name_size, "connection"))
            read_connection(header, value, size);
        break;
    case 12:
        if (equals(name, name_size, "content-type") && size < sizeof(parser->content_type)) {
            memcpy(parser->content_type, value, size);
            parser->content_type[size] = '\0';
        }
        break;
    case 14:
        if (!equals(name, name_size, "content-length"))
            break;
        if (!read_number(value, size, &length))
            return refuse(parser, "malformed Content-Length");
        if (header->lengths++ > 0 && length != header->length)
            return refuse(parser, "two different lengths");
        header->length = length;
        break;
    case 17:
        if (!equals(name, name_size, "transfer-encoding"))
            break;
        if (header->encodings++ > 0 || !equals(value, size, "chunked"))
            return refuse(parser, "a Transfer-Encoding other than chunked");
        break;
    }
    return 0;
}

static int read_line(HttpParser *parser, Header *header, const char *line, size_t size)
{
    const char *colon = memchr(line, ':', size);

    if (!colon || colon == line || line[0] == ' ' || line[0] == '\t' || colon[-1] == ' ' || colon[-1] == '\t')
        return refuse(parser, "malformed header line");
    const char *value = colon + 1, *end = line + size;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (memchr(value, '\0', (size_t)(end - value)) || memchr(value, '\r', (size_t)(end - value)))
        return refuse(parser, "a control character in a header");
    return read_field(parser, header, line, (size_t)(colon - line), value, (size_t)(end - value));
}

/* "HTTP/1.1 200 OK" */
static int read_status(HttpParser *parser, Header *header, const char *line, size_t size)
{
    if (size < 12 || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ' ||
        (size > 12 && line[12] != ' '))
        return refuse(parser, "this is not HTTP/1.1");
    parser->status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return refuse(parser, "malformed status");
        parser->status = parser->status * 10 + (line[i] - '0');
    }
    if (parser->status < 100 || parser->status == 101)
        return refuse(parser, "unexpected status");
    header->keep_alive = line[7] == '1';
    return 0;
}

/* A whole header, with the empty line at its end. */
static int read_header(HttpParser *parser, const char *text, const char *end)
{
    Header header = {0};
    bool first = true;

    parser->content_type[0] = '\0';
    while (text < end) {
        const char *next = memchr(text, '\n', (size_t)(end - text));
        size_t size = (size_t)(next - text);
        if (size > 0 && text[size - 1] == '\r')
            size--;
        if (size == 0)
            break;
        int r = first ? read_status(parser, &header, text, size) : read_line(parser, &header, text, size);
        if (r < 0)
            return r;
        first = false;
        text = next + 1;
    }
    if (first)
        return refuse(parser, "no status line");
    parser->keeps = header.keep_alive && !header.close;
    if (parser->status < 200) /* 100 Continue: the answer follows */
        return 0;
    if (header.lengths && header.encodings)
        return refuse(parser, "both Content-Length and Transfer-Encoding");
    parser->left = header.length;
    if (parser->head || parser->status == 204 || parser->status == 304) {
        parser->state = HTTP_PARSE_DONE;
    } else if (header.encodings) {
        parser->state = HTTP_PARSE_CHUNK_SIZE;
    } else if (header.lengths) {
        parser->state = header.length > 0 ? HTTP_PARSE_LENGTH : HTTP_PARSE_DONE;
    } else {
        parser->state = HTTP_PARSE_CLOSE;
        parser->keeps = false;
    }
    return 0;
}

static int parse_header(HttpParser *parser, const char *data, size_t size, size_t *ret_used)
{
    size_t had = parser->header_size;
    const char *end;

    if (had == 0 && (end = find_end(data, size, 0))) { /* the common case: nothing is copied */
        *ret_used = (size_t)(end - data);
        return *ret_used > HTTP_PARSE_HEADER_MAX ? refuse(parser, "the header is too long")
                                                 : read_header(parser, data, end);
    }
    if (size > HTTP_PARSE_HEADER_MAX - had)
        size = HTTP_PARSE_HEADER_MAX - had;
    if (size == 0)
        return refuse(parser, "the header is too long");
    char *header = realloc(parser->header, had + size);
    if (!header)
        return -ENOMEM;
    parser->header = header;
    memcpy(header + had, data, size);
    parser->header_size = had + size;
    /* Its end may have begun in what came before. */
    end = find_end(header, parser->header_size, had > 3 ? had - 3 : 0);
    if (!end) {
        *ret_used = size;
        return 0;
    }
    *ret_used = (size_t)(end - header) - had;
    int r = read_header(parser, header, end);
    http_parser_clear(parser);
    return r;
}

/* --- chunks ------------------------------------------------------------- */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int parse_chunk_size(HttpParser *parser, const char *data, size_t size, size_t *ret_used)
{
    for (size_t i = 0; i < size; i++) {
        char c = data[i];
        int value = parser->extension ? -1 : digit(c);
        if (++parser->line > HTTP_PARSE_LINE_MAX)
            return refuse(parser, "a chunk's size line is too long");
        if (parser->cr && c != '\n')
            return refuse(parser, "a bare CR");
        parser->cr = c == '\r';
        if (c == '\n') {
            if (parser->digits == 0)
                return refuse(parser, "malformed chunk size");
            *ret_used = i + 1;
            parser->state = parser->left > 0 ? HTTP_PARSE_CHUNK : HTTP_PARSE_TRAILER;
            parser->line = 0;
            parser->empty = true;
            parser->cr = false;
            return 0;
        }
        if (value >= 0) {
            if (++parser->digits > 16)
                return refuse(parser, "a chunk is too large");
            parser->left = parser->left * 16 + (unsigned)value;
        } else if (parser->digits > 0 && (c == ';' || c == ' ' || c == '\t' || c == '\r')) {
            parser->extension = true;
        } else if (!parser->extension) {
            return refuse(parser, "malformed chunk size");
        }
    }
    *ret_used = size;
    return 0;
}

static int parse_chunk_end(HttpParser *parser, const char *data, size_t *ret_used)
{
    *ret_used = 1;
    if (data[0] == '\r' && parser->line == 0) {
        parser->line = 1;
        return 0;
    }
    if (data[0] != '\n')
        return refuse(parser, "a chunk is longer than it said");
    parser->state = HTTP_PARSE_CHUNK_SIZE;
    parser->line = 0;
    parser->left = 0;
    parser->digits = 0;
    parser->extension = false;
    return 0;
}

/* Lines are skipped up to an empty one. */
static int parse_trailer(HttpParser *parser, const char *data, size_t size, size_t *ret_used)
{
    for (size_t i = 0; i < size; i++) {
        if (++parser->line > HTTP_PARSE_TRAILER_MAX)
            return refuse(parser, "the trailer is too long");
        if (data[i] == '\n') {
            if (parser->empty) {
                *ret_used = i + 1;
                parser->state = HTTP_PARSE_DONE;
                return 0;
            }
            parser->empty = true;
        } else if (data[i] != '\r') {
            parser->empty = false;
        }
    }
    *ret_used = size;
    return 0;
}

/* --- all ---------------------------------------------------------------- */

int http_parse(HttpParser *parser, const char *data, size_t size, size_t *ret_used, const char **ret_body,
               size_t *ret_size)
{
    *ret_used = 0;
    *ret_size = 0;
    switch (parser->state) {
    case HTTP_PARSE_HEADER:
        return parse_header(parser, data, size, ret_used);
    case HTTP_PARSE_CHUNK_SIZE:
        return parse_chunk_size(parser, data, size, ret_used);
    case HTTP_PARSE_CHUNK_END:
        return parse_chunk_end(parser, data, ret_used);
    case HTTP_PARSE_TRAILER:
        return parse_trailer(parser, data, size, ret_used);
    case HTTP_PARSE_LENGTH:
    case HTTP_PARSE_CHUNK:
        if (size > parser->left)
            size = (size_t)parser->left;
        parser->left -= size;
        if (parser->left == 0)
            parser->state = parser->state == HTTP_PARSE_LENGTH ? HTTP_PARSE_DONE : HTTP_PARSE_CHUNK_END;
        break;
    case HTTP_PARSE_CLOSE:
        break;
    case HTTP_PARSE_DONE:
        return 0;
    }
    *ret_used = *ret_size = size;
    *ret_body = data;
    return 0;
}

int http_parse_end(HttpParser *parser)
{
    if (parser->state == HTTP_PARSE_CLOSE)
        parser->state = HTTP_PARSE_DONE;
    return parser->state == HTTP_PARSE_DONE ? 0 : -EPROTO;
}
