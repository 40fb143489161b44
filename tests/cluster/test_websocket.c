/* WebSocket frames, and log lines with their times: what comes in pieces. */
#include "fixture.h"

#include "cluster/node/log_filter.h"
#include "cluster/node/websocket.h"

#include <errno.h>

typedef struct Seen {
    char text[4096];
    size_t length;
} Seen;

static bool note(void *userdata, int opcode, const void *data, size_t size)
{
    Seen *seen = userdata;
    seen->length += (size_t)snprintf(seen->text + seen->length, sizeof seen->text - seen->length, "%d:%.*s ", opcode,
                                     (int)(size < 100 ? size : 100), (const char *)data);
    return true;
}

/* A client's frame: masked. */
static size_t frame(unsigned char *out, int first, const char *text, size_t size)
{
    static const unsigned char mask[4] = {1, 2, 3, 4};
    size_t at = 0;
    out[at++] = (unsigned char)first;
    if (size < 126) {
        out[at++] = (unsigned char)(0x80 | size);
    } else {
        out[at++] = 0x80 | 126;
        out[at++] = (unsigned char)(size >> 8);
        out[at++] = (unsigned char)size;
    }
    memcpy(out + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < size; i++)
        out[at++] = (unsigned char)text[i] ^ mask[i % 4];
    return at;
}

static void the_accept_key_is_that_of_the_standard(void **state)
{
    char key[WEBSOCKET_KEY_SIZE];
    InaError error = {0};
    assert_success(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", key, &error), error); /* RFC 6455, 1.3 */
    assert_string_equal(key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_failure(websocket_accept("short", key, &error), error, "Sec-WebSocket-Key");
    assert_failure(websocket_accept(NULL, key, &error), error, "Sec-WebSocket-Key");
}

static void messages_are_joined_from_any_pieces(void **state)
{
    unsigned char data[2048];
    char big[600];
    memset(big, 'x', sizeof big);
    size_t size = frame(data, 0x82, "hello", 5);
    size += frame(data + size, 0x01, "fra", 3);   /* not the last */
    size += frame(data + size, 0x89, "ping", 4);  /* a control frame between */
    size += frame(data + size, 0x80, "gment", 5); /* the rest */
    size += frame(data + size, 0x82, big, sizeof big);
    size += frame(data + size, 0x88, "", 0);
    for (size_t piece = 1; piece < size; piece = piece * 2 + 1) {
        WebSocket socket = {0};
        Seen seen = {0};
        InaError error = {0};
        for (size_t at = 0; at < size; at += piece)
            assert_success(
                websocket_receive(&socket, data + at, size - at < piece ? size - at : piece, note, &seen, &error),
                error);
        assert_non_null(strstr(seen.text, "2:hello 9:ping 1:fragment 2:xxx"));
        assert_non_null(strstr(seen.text, "x 8: "));
        websocket_clear(&socket);
    }
}

static void frames_against_the_standard_are_refused(void **state)
{
    static const struct {
        unsigned char data[16];
        size_t size;
        int code;
    } cases[] = {
        {{0x82, 0x05, 'h', 'e'}, 4, -EPROTO},                            /* not masked */
        {{0xC2, 0x80, 1, 2, 3, 4}, 6, -EPROTO},                          /* a reserved bit */
        {{0x83, 0x80, 1, 2, 3, 4}, 6, -EPROTO},                          /* unknown opcode */
        {{0x80, 0x80, 1, 2, 3, 4}, 6, -EPROTO},                          /* a continuation of nothing */
        {{0x09, 0x80, 1, 2, 3, 4}, 6, -EPROTO},                          /* a fragmented ping */
        {{0x89, 0xFE, 0, 126, 1, 2, 3, 4}, 8, -EPROTO},                  /* a long ping */
        {{0x82, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 2}, 12, -EMSGSIZE},  /* the largest there is */
        {{0x02, 0x80, 1, 2, 3, 4, 0x82, 0x80, 1, 2, 3, 4}, 12, -EPROTO}, /* a message within another */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        WebSocket socket = {0};
        Seen seen = {0};
        InaError error = {0};
        assert_int_equal(websocket_receive(&socket, cases[i].data, cases[i].size, note, &seen, &error), cases[i].code);
        websocket_clear(&socket);
    }
}

static void any_bytes_are_taken_or_refused(void **state)
{
    uint64_t seed = take_seed();
    for (unsigned round = 0; round < 2000; round++) {
        WebSocket socket = {0};
        Seen seen = {0};
        for (unsigned i = 0; i < 20; i++) {
            unsigned char data[64];
            size_t size = next_random(&seed, sizeof data);
            for (size_t b = 0; b < size; b++)
                data[b] = (unsigned char)next_random(&seed, 256);
            if (size > 1) {
                data[0] &= 0x8F;
                data[1] |= 0x80;
            }
            seen.length = 0;
            if (websocket_receive(&socket, data, size, note, &seen, NULL) < 0)
                break;
        }
        websocket_clear(&socket);
    }
}

static void what_goes_out_has_the_right_length(void **state)
{
    static const size_t sizes[] = {0, 124, 125, 126, 65534, 65535, 65536};
    static char data[70000];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Buffer out = {0};
        websocket_frame(&out, WEBSOCKET_BINARY, 1, data, sizes[i]);
        size_t whole = sizes[i] + 1, header = whole < 126 ? 2 : whole < 65536 ? 4 : 10;
        assert_int_equal(out.size, header + whole);
        assert_int_equal((unsigned char)out.data[0], 0x82);
        assert_int_equal(out.data[header], 1);
        buffer_free(&out);
    }
}

/* --- logs ------------------------------------------------------------------------------ */

static const char lines[] = "2026-01-31T12:00:00.000000001Z one\n"
                            "2026-01-31T12:00:01.000000001Z two\n"
                            "2026-01-31T12:00:02.000000001Z three";

static void filter(LogFilter *wanted, size_t piece, const char *expected)
{
    LogFilter work = *wanted;
    Buffer out = {0};
    buffer_append(&out, "", 0);
    for (size_t at = 0; at < strlen(lines); at += piece)
        log_filter(&work, lines + at, strlen(lines) - at < piece ? strlen(lines) - at : piece, &out);
    assert_string_equal(out.data, expected);
    buffer_free(&out);
}

static void times_are_shown_or_not_and_lines_left_out(void **state)
{
    for (size_t piece = 1; piece < sizeof lines; piece += 7) {
        LogFilter plain = {.limit = -1}, stamped = {.limit = -1, .timestamps = true}, since = {.limit = -1};
        LogFilter limited = {.limit = 6};
        filter(&plain, piece, "one\ntwo\nthree");
        filter(&stamped, piece, lines);
        log_filter_since(&since, UINT64_C(1769860801000000));
        filter(&since, piece, "two\nthree");
        filter(&limited, piece, "one\ntw");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accept_key_is_that_of_the_standard),
        cmocka_unit_test(messages_are_joined_from_any_pieces),
        cmocka_unit_test(frames_against_the_standard_are_refused),
        cmocka_unit_test(any_bytes_are_taken_or_refused),
        cmocka_unit_test(what_goes_out_has_the_right_length),
        cmocka_unit_test(times_are_shown_or_not_and_lines_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
