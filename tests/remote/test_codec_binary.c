/* Binary messages: round trips and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remote/codec.h"
#include "sampler.pb-c.h"
#include <cmocka.h>
#include <errno.h>

#define TYPE (&sampler__v1__everything__descriptor)
typedef Sampler__V1__Everything Everything;

static void assert_refused(const void *data, size_t size, int code, const char *reason)
{
    ProtobufCMessage *message = NULL;
    InaError error = {0};
    void *exact = malloc(size ? size : 1); /* so that a byte too far is found */
    memcpy(exact, data, size);
    int r = codec_unpack(TYPE, exact, size, &message, &error);
    free(exact);
    if (r >= 0)
        fail_msg("bytes that should be refused (%s) are accepted", reason);
    assert_null(message);
    if (r != -code || !strstr(error.message, reason))
        fail_msg("the error is %d \"%s\", not %d \"%s\"", r, error.message, -code, reason);
}

static Everything *sample(void)
{
    static const char text[] =
        "{\"int32Value\":-5,\"uint64Value\":\"18446744073709551615\",\"doubleValue\":0.5,\"text\":\"é\","
        "\"pair\":{\"value1\":1},\"node\":{\"child\":{\"name\":\"b\"}},\"numbers\":[1,300,-1],\"reals\":[1,2],"
        "\"names\":[\"a\",\"\"],\"blobs\":[\"AAAA\"],\"pairs\":[{},{\"value2\":3}],\"colors\":[\"BLUE\"],\"word\":"
        "\"w\"}";
    ProtobufCMessage *message;
    InaError error = {0};
    if (codec_json_decode(TYPE, text, strlen(text), 0, &message, &error) < 0)
        fail_msg("%s", error.message);
    return (Everything *)message;
}

static void a_message_survives_a_round_trip(void **state)
{
    Everything *message = sample();
    void *data, *again;
    size_t size, again_size;
    assert_int_equal(codec_pack(&message->base, &data, &size, NULL), 0);
    ProtobufCMessage *copy;
    assert_int_equal(codec_unpack(TYPE, data, size, &copy, NULL), 0);
    assert_int_equal(codec_pack(copy, &again, &again_size, NULL), 0);
    assert_int_equal(size, again_size);
    assert_memory_equal(data, again, size);
    free(data);
    free(again);
    protobuf_c_message_free_unpacked(copy, NULL);
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

static void an_empty_message_has_no_bytes(void **state)
{
    ProtobufCMessage *message;
    assert_int_equal(codec_unpack(TYPE, NULL, 0, &message, NULL), 0);
    void *data;
    size_t size;
    assert_int_equal(codec_pack(message, &data, &size, NULL), 0);
    assert_int_equal(size, 0);
    assert_non_null(data);
    free(data);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void unknown_fields_are_taken(void **state)
{
    static const char bytes[] = "\xa0\x06\x01\xaa\x06\x02\xff\xff"; /* fields 100 and 101 */
    ProtobufCMessage *message;
    assert_int_equal(codec_unpack(TYPE, bytes, sizeof(bytes) - 1, &message, NULL), 0);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void a_cut_message_is_refused_or_whole(void **state)
{
    Everything *message = sample();
    void *data;
    size_t size;
    assert_int_equal(codec_pack(&message->base, &data, &size, NULL), 0);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, data, cut);
        ProtobufCMessage *copy = NULL;
        int r = codec_unpack(TYPE, exact, cut, &copy, NULL);
        assert_true(r == 0 || r == -EBADMSG);
        if (copy)
            protobuf_c_message_free_unpacked(copy, NULL);
        free(exact);
    }
    free(data);
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

static void random_changes_do_no_harm(void **state)
{
    Everything *message = sample();
    void *data;
    size_t size;
    unsigned seed = 4712;
    assert_int_equal(codec_pack(&message->base, &data, &size, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        uint8_t *exact = malloc(size);
        memcpy(exact, data, size);
        for (int k = rand_r(&seed) % 4; k >= 0; k--)
            exact[(size_t)rand_r(&seed) % size] = (uint8_t)rand_r(&seed);
        ProtobufCMessage *copy = NULL;
        if (codec_unpack(TYPE, exact, size, &copy, NULL) == 0) {
            Buffer buffer = {0};
            assert_int_equal(codec_json_encode(copy, &buffer, NULL), 0);
            buffer_free(&buffer);
            protobuf_c_message_free_unpacked(copy, NULL);
        }
        free(exact);
    }
    free(data);
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

#define REFUSED(bytes, reason) assert_refused(bytes, sizeof(bytes) - 1, EBADMSG, reason)

static void malformed_bytes_are_refused_with_their_place(void **state)
{
    REFUSED("\x80", "cut short at byte 0");
    REFUSED("\xff\xff\xff\xff\xff\xff", "cut short at byte 0");
    REFUSED("\x08", "int32_value: the message is cut short at byte 1");
    REFUSED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "int32_value: the message is cut short");
    REFUSED("\x00\x00", "no field number 0");
    REFUSED("\x61\x01\x02", "double_value: the message is cut short");
    REFUSED("\x7a\x05\x61", "text: the message is cut short");
    REFUSED("\x7a\xff\xff\xff\xff\x0f", "text: the message is cut short");
    REFUSED("\x7a\x02\xff\xff", "text: the string is not UTF-8");
    REFUSED("\x7a\x02\x61\x00", "text: the string has a NUL");
    REFUSED("\x78\x01", "text: has wire type 0 where 2 is right");
    REFUSED("\x0b\x0c", "int32_value: has wire type 3 where 0 is right");
    REFUSED("\xa3\x06\xa4\x06", "unknown wire type 3");
    REFUSED("\x8a\x01\x02\x09\x01", "pair.value1: the message is cut short");
    REFUSED("\xba\x01\x00\xba\x01\x02\x09\x01", "pairs[1].value1: the message is cut short");
    REFUSED("\xa2\x01\x03\x01\x02\x03", "");
}

static void nesting_is_limited(void **state)
{
    for (int depth = 50; depth <= 20000; depth *= 20) {
        uint8_t *bytes = malloc((size_t)depth * 8);
        size_t at = (size_t)depth * 8, size = 0;
        for (int i = 0; i < depth; i++) {
            uint8_t header[8];
            size_t n = 0;
            if (i < depth - 1) {
                header[n++] = 0x12; /* child */
            } else {
                header[n++] = 0x92; /* node */
                header[n++] = 0x01;
            }
            for (size_t left = size; n < sizeof(header); left >>= 7) {
                header[n++] = (uint8_t)(left > 127 ? 0x80 | (left & 0x7f) : left);
                if (left <= 127)
                    break;
            }
            at -= n;
            size += n;
            memcpy(bytes + at, header, n);
        }
        if (depth <= 100) {
            ProtobufCMessage *message = NULL;
            InaError error = {0};
            if (codec_unpack(TYPE, bytes + at, size, &message, &error) < 0)
                fail_msg("%s", error.message);
            protobuf_c_message_free_unpacked(message, NULL);
        } else {
            assert_refused(bytes + at, size, EMSGSIZE, "nested deeper than 100");
        }
        free(bytes);
    }
}

static void repeat(const char *piece, size_t length, size_t times, int code, const char *reason)
{
    char *bytes = malloc(length * times);
    for (size_t i = 0; i < times; i++)
        memcpy(bytes + i * length, piece, length);
    assert_refused(bytes, length * times, code, reason);
    free(bytes);
}

static void bytes_that_would_take_much_memory_are_refused(void **state)
{
    repeat("\xba\x01\x00", 3, 2000000, EMSGSIZE, "bytes of memory"); /* empty messages */
    repeat("\xa0\x06\x00", 3, 2000000, EMSGSIZE, "bytes of memory"); /* unknown fields */
}

static void fields_merged_over_and_over_are_refused(void **state)
{
    repeat("\x92\x01\x02\x1a\x00", 5, 100000, EMSGSIZE, "node: single fields are repeated too often");
}

static void a_message_beyond_the_limit_is_refused(void **state)
{
    ProtobufCMessage *message = NULL;
    assert_int_equal(codec_unpack(TYPE, "", (size_t)CODEC_MESSAGE_MAX + 1, &message, NULL), -EMSGSIZE);
    Everything large;
    sampler__v1__everything__init(&large);
    large.blob.len = (size_t)CODEC_MESSAGE_MAX + 1;
    void *data;
    size_t size;
    InaError error = {0};
    assert_int_equal(codec_pack(&large.base, &data, &size, &error), -EMSGSIZE);
    assert_non_null(strstr(error.message, "at most 67108864 can be sent"));
}

static void megabytes_of_columns_are_taken(void **state)
{
    const size_t count = 1000000;
    Everything message;
    sampler__v1__everything__init(&message);
    message.reals = calloc(count, sizeof(double));
    message.n_reals = count;
    message.reals[count - 1] = 7;
    void *data;
    size_t size;
    assert_int_equal(codec_pack(&message.base, &data, &size, NULL), 0);
    ProtobufCMessage *copy;
    assert_int_equal(codec_unpack(TYPE, data, size, &copy, NULL), 0);
    assert_true(((Everything *)copy)->reals[count - 1] == 7);
    protobuf_c_message_free_unpacked(copy, NULL);
    free(data);
    free(message.reals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_survives_a_round_trip),
        cmocka_unit_test(an_empty_message_has_no_bytes),
        cmocka_unit_test(unknown_fields_are_taken),
        cmocka_unit_test(a_cut_message_is_refused_or_whole),
        cmocka_unit_test(random_changes_do_no_harm),
        cmocka_unit_test(malformed_bytes_are_refused_with_their_place),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(bytes_that_would_take_much_memory_are_refused),
        cmocka_unit_test(fields_merged_over_and_over_are_refused),
        cmocka_unit_test(a_message_beyond_the_limit_is_refused),
        cmocka_unit_test(megabytes_of_columns_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
