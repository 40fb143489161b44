/* fuzz_http.c - any bytes as a server's answer: read in one piece, in single
 * bytes or in pieces of other sizes, the outcome is the same. The first byte
 * chooses the size of the pieces and whether the request was HEAD. */
#include <base/http_parse.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Outcome {
    int result, status;
    bool keeps;
    HttpParseState state;
    size_t used, body_size;
    uint64_t hash; /* of the body */
    char content_type[128];
} Outcome;

static Outcome read_answer(const uint8_t *data, size_t size, size_t piece, bool head)
{
    HttpParser parser = {0};
    Outcome outcome = {.hash = 5381};

    http_parser_start(&parser, head);
    while (outcome.used < size && parser.state != HTTP_PARSE_DONE && outcome.result == 0) {
        size_t n = size - outcome.used < piece ? size - outcome.used : piece, used, body_size;
        const char *body = NULL;
        /* A copy of its own, so that reading beyond its end is noticed. */
        char *copy = malloc(n);
        memcpy(copy, data + outcome.used, n);
        outcome.result = http_parse(&parser, copy, n, &used, &body, &body_size);
        if (outcome.result == 0) {
            if (used == 0 || used > n || (body_size > 0 && (body < copy || body + body_size > copy + used)))
                abort();
            for (size_t i = 0; i < body_size; i++)
                outcome.hash = outcome.hash * 33 + (unsigned char)body[i];
            outcome.body_size += body_size;
            outcome.used += used;
        } else if (outcome.result == -EPROTO && !parser.problem) {
            abort();
        }
        free(copy);
    }
    outcome.state = parser.state;
    if (outcome.result == 0 && parser.state != HTTP_PARSE_DONE)
        outcome.result = http_parse_end(&parser);
    outcome.status = parser.status;
    outcome.keeps = parser.keeps;
    memcpy(outcome.content_type, parser.content_type, sizeof(outcome.content_type));
    http_parser_clear(&parser);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bool head = data[0] & 1;
    size_t piece = (data[0] >> 1) + 1u;
    Outcome whole = read_answer(data + 1, size - 1, SIZE_MAX, head);
    Outcome pieces = read_answer(data + 1, size - 1, piece, head);
    Outcome bytes = read_answer(data + 1, size - 1, 1, head);
    if (whole.result != pieces.result || whole.result != bytes.result)
        abort();
    if (whole.result != 0) /* how far each came before the mistake may differ */
        return 0;
    if (whole.used != pieces.used || whole.used != bytes.used || whole.body_size != pieces.body_size ||
        whole.body_size != bytes.body_size || whole.hash != pieces.hash || whole.hash != bytes.hash ||
        whole.status != pieces.status || whole.status != bytes.status || whole.keeps != pieces.keeps ||
        whole.keeps != bytes.keeps || strcmp(whole.content_type, pieces.content_type) != 0 ||
        strcmp(whole.content_type, bytes.content_type) != 0)
        abort();
    return 0;
}
