/* http_parse.h - reads an HTTP/1.1 answer (RFC 9112) as its bytes come.
 *
 * Pure: no I/O, nothing allocated but the header while it is incomplete.
 * What two readers might understand differently is refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_PARSE_HEADER_MAX (64u * 1024u)
#define HTTP_PARSE_LINE_MAX 1024u /* of a chunk's size with its extensions */
#define HTTP_PARSE_TRAILER_MAX (8u * 1024u)

typedef enum HttpParseState {
    HTTP_PARSE_HEADER,
    HTTP_PARSE_LENGTH,     /* in a body of which `left` bytes are to come */
    HTTP_PARSE_CLOSE,      /* in a body that ends with the connection */
    HTTP_PARSE_CHUNK_SIZE, /* in a line with a chunk's size */
    HTTP_PARSE_CHUNK,      /* in a chunk, `left` bytes are to come */
    HTTP_PARSE_CHUNK_END,  /* in the line break behind it */
    HTTP_PARSE_TRAILER,
    HTTP_PARSE_DONE,
} HttpParseState;

typedef struct HttpParser {
    HttpParseState state;
    bool head;  /* the request was HEAD: no body follows */
    bool keeps; /* the connection may be used again after this answer */
    int status;
    uint64_t left;
    char content_type[128];
    const char *problem; /* after -EPROTO */
    char *header;        /* what has come of it */
    size_t header_size;
    size_t line; /* bytes of the current chunk size line or trailer */
    unsigned digits;
    bool extension, empty, cr;
} HttpParser;

void http_parser_start(HttpParser *parser, bool head);
void http_parser_clear(HttpParser *parser); /* frees what it holds */

/* Reads *ret_used of `data` (size > 0, state not DONE); call it again with the
 * rest. *ret_body is a piece of the body in it, of *ret_size bytes (0: none).
 * -EPROTO, -ENOMEM. */
int http_parse(HttpParser *parser, const char *data, size_t size, size_t *ret_used, const char **ret_body,
               size_t *ret_size);
/* The connection was closed: 0 when the answer is complete by that, -EPROTO otherwise. */
int http_parse_end(HttpParser *parser);
