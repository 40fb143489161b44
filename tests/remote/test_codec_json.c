/* The JSON mapping: round trips, what is accepted, and hostile texts. */
#include <math.h>
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

static int decode(const char *text, unsigned flags, Everything **ret, InaError *error)
{
    return codec_json_decode(TYPE, text, strlen(text), flags, (ProtobufCMessage **)ret, error);
}

static Everything *accept(const char *text)
{
    Everything *message = NULL;
    InaError error = {0};
    if (decode(text, CODEC_REFUSE_UNKNOWN, &message, &error) < 0)
        fail_msg("%s is refused: %s", text, error.message);
    return message;
}

static void drop(Everything *message)
{
    protobuf_c_message_free_unpacked(&message->base, NULL);
}

static char *encode(const ProtobufCMessage *message)
{
    Buffer buffer = {0};
    InaError error = {0};
    if (codec_json_encode(message, &buffer, &error) < 0)
        fail_msg("cannot be written: %s", error.message);
    buffer_append(&buffer, "", 1);
    assert_false(buffer.failed);
    return buffer.data;
}

static void assert_becomes(const char *text, const char *expected)
{
    Everything *message = accept(text);
    char *written = encode(&message->base);
    assert_string_equal(written, expected);
    free(written);
    drop(message);
}

static void assert_same(const char *text)
{
    assert_becomes(text, text);
}

static void assert_refused(const char *text, const char *reason)
{
    Everything *message = NULL;
    InaError error = {0};
    int r = decode(text, CODEC_REFUSE_UNKNOWN, &message, &error);
    if (r >= 0)
        fail_msg("%s is accepted", text);
    assert_null(message);
    assert_int_equal(r, -error.code);
    if (!strstr(error.message, reason))
        fail_msg("%s: the error is \"%s\", without \"%s\"", text, error.message, reason);
}

static void all_types_survive_a_round_trip(void **state)
{
    assert_same("{}");
    assert_same("{\"int32Value\":-2147483648,\"sint32Value\":-1,\"sfixed32Value\":2147483647,"
                "\"int64Value\":\"-9223372036854775808\",\"sint64Value\":\"-1\","
                "\"sfixed64Value\":\"9223372036854775807\",\"uint32Value\":4294967295,\"fixed32Value\":1,"
                "\"uint64Value\":\"18446744073709551615\",\"fixed64Value\":\"1\",\"floatValue\":0.1,"
                "\"doubleValue\":0.1,\"boolValue\":true,\"color\":\"DARK_GREEN\",\"text\":\"a\\\"b\\\\c\\n\\u0001é€😀\","
                "\"blob\":\"AP8B\",\"pair\":{\"value1\":1.5},\"node\":{\"name\":\"a\",\"child\":{\"name\":\"b\"},"
                "\"children\":[{},{\"name\":\"c\"}]},\"numbers\":[\"1\",\"-2\",\"0\"],\"reals\":[0,-0.5,1e+300],"
                "\"names\":[\"\",\"x\"],\"blobs\":[\"\",\"AA==\",\"AAA=\"],\"pairs\":[{},{\"value2\":2}],"
                "\"colors\":[\"RED\",\"BLUE\",99],\"flags\":[true,false],\"word\":\"\"}");
}

static void original_names_are_accepted_too(void **state)
{
    assert_becomes("{\"int32_value\":1}", "{\"int32Value\":1}");
    assert_refused("{\"Int32Value\":1}", "Int32Value");
    assert_refused("{\"int32value\":1}", "int32value");
}

static void integers_may_be_strings_and_whole_numbers_of_any_form(void **state)
{
    assert_becomes("{\"int32Value\":\"-5\",\"uint64Value\":18446744073709551615}",
                   "{\"int32Value\":-5,\"uint64Value\":\"18446744073709551615\"}");
    assert_becomes("{\"int32Value\":1e3,\"int64Value\":2.0,\"uint32Value\":\"4e0\"}",
                   "{\"int32Value\":1000,\"int64Value\":\"2\",\"uint32Value\":4}");
    assert_becomes("{\"int32Value\":-0,\"uint32Value\":-0}", "{}");
    assert_refused("{\"int32Value\":2147483648}",
                   "int32Value: 2147483648 is no integer from -2147483648 to 2147483647");
    assert_refused("{\"int32Value\":-2147483649}", "int32Value");
    assert_refused("{\"uint32Value\":-1}", "uint32Value");
    assert_refused("{\"uint64Value\":18446744073709551616}", "uint64Value");
    assert_refused("{\"uint64Value\":1e20}", "uint64Value");
    assert_refused("{\"int64Value\":9223372036854775808}", "int64Value");
    assert_refused("{\"int64Value\":1.5}", "int64Value");
    assert_refused("{\"int64Value\":\"\"}", "int64Value");
    assert_refused("{\"int64Value\":\" 1\"}", "int64Value");
    assert_refused("{\"int64Value\":\"0x10\"}", "int64Value");
    assert_refused("{\"int64Value\":\"1\",\"uint32Value\":\"\\u0031x\"}", "uint32Value");
}

static void doubles_that_are_not_finite_have_names(void **state)
{
    assert_same("{\"floatValue\":\"-Infinity\",\"doubleValue\":\"NaN\",\"reals\":[\"Infinity\",0]}");
    assert_becomes("{\"doubleValue\":\"1.5\"}", "{\"doubleValue\":1.5}");
    assert_becomes("{\"doubleValue\":-0.0}", "{\"doubleValue\":-0}");
    assert_refused("{\"doubleValue\":NaN}", "doubleValue");
    assert_refused("{\"doubleValue\":\"nan\"}", "doubleValue");
    assert_refused("{\"doubleValue\":\"inf\"}", "doubleValue");
    assert_refused("{\"doubleValue\":1e999}", "too large for a double");
    assert_refused("{\"floatValue\":1e39}", "too large for a float");
}

static void every_double_reads_back_the_same(void **state)
{
    unsigned seed = 4711;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = 0;
        for (int k = 0; k < 5; k++)
            bits = bits << 15 ^ (uint64_t)rand_r(&seed);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (isnan(value) || value == 0)
            continue;
        Everything message;
        sampler__v1__everything__init(&message);
        message.double_value = value;
        message.float_value = (float)value;
        char *text = encode(&message.base);
        Everything *again = accept(text);
        assert_memory_equal(&again->double_value, &message.double_value, sizeof(double));
        assert_memory_equal(&again->float_value, &message.float_value, sizeof(float));
        drop(again);
        free(text);
    }
}

static void bytes_take_either_alphabet_with_or_without_padding(void **state)
{
    assert_becomes("{\"blob\":\"-_8\"}", "{\"blob\":\"+/8=\"}");
    assert_becomes("{\"blob\":\"+/8=\"}", "{\"blob\":\"+/8=\"}");
    assert_refused("{\"blob\":\"A\"}", "blob: the string is not base64");
    assert_refused("{\"blob\":\"AA=\"}", "base64");
    assert_refused("{\"blob\":\"A A=\"}", "base64");
    assert_refused("{\"blob\":\"====\"}", "base64");
    assert_refused("{\"blob\":[1]}", "blob: expected a string, found an array");
}

static void null_means_not_set(void **state)
{
    assert_becomes("{\"int32Value\":null,\"text\":null,\"pair\":null,\"numbers\":null,\"word\":null,\"number\":3}",
                   "{\"number\":3}");
    assert_refused("{\"numbers\":[null]}", "numbers[0]");
    assert_refused("{\"pairs\":[{},null]}", "pairs[1]");
}

static void only_one_field_of_a_oneof_is_taken(void **state)
{
    assert_same("{\"number\":0}");
    assert_same("{\"couple\":{}}");
    assert_refused("{\"number\":1,\"word\":\"x\"}", "word: another field of the same oneof");
    assert_refused("{\"couple\":{},\"word\":\"x\"}", "word: another field of the same oneof");
}

static void enums_are_taken_by_name_or_number(void **state)
{
    assert_becomes("{\"color\":-7,\"colors\":[1]}", "{\"color\":\"BLUE\",\"colors\":[\"DARK_GREEN\"]}");
}

static void enums_of_unknown_name_are_refused(void **state)
{
    assert_refused("{\"color\":\"PINK\"}", "color: \"PINK\" is no value of sampler.v1.Color");
    assert_refused("{\"color\":true}", "color");
    assert_refused("{\"color\":1.5}", "color");
}

static void wrong_types_are_refused_with_their_path(void **state)
{
    assert_refused("[1,2]", "expected an object, found an array");
    assert_refused("{\"pair\":[1,2]}", "pair: expected an object, found an array");
    assert_refused("{\"pairs\":[{\"value1\":1},{\"value2\":[2]}]}",
                   "pairs[1].value2: expected a number, found an array");
    assert_refused("{\"reals\":{\"0\":1}}", "reals: expected an array, found an object");
    assert_refused("{\"reals\":1}", "reals");
    assert_refused("{\"text\":1}", "text: expected a string, found a number");
    assert_refused("{\"boolValue\":1}", "boolValue: expected true or false, found a number");
    assert_refused("{\"boolValue\":\"true\"}", "boolValue");
    assert_refused("{\"doubleValue\":true}", "doubleValue");
    assert_refused("null", "expected an object, found null");
}

static void duplicate_keys_are_refused(void **state)
{
    assert_refused("{\"text\":\"a\",\"text\":\"b\"}", "text: the field is given twice");
    assert_refused("{\"int32Value\":1,\"int32_value\":2}", "int32_value: the field is given twice");
    assert_refused("{\"pairs\":[],\"pairs\":[]}", "pairs: the field is given twice");
}

static void unknown_fields_are_skipped_unless_told_otherwise(void **state)
{
    const char *text = "{\"x\":{\"y\":[1,\"z\",{\"a\":null,\"b\":[[]]}],\"k\":-1e5},\"text\":\"t\",\"q\":true}";
    assert_refused(text, "x: sampler.v1.Everything has no such field");
    Everything *message = NULL;
    assert_int_equal(decode(text, 0, &message, NULL), 0);
    assert_string_equal(message->text, "t");
    drop(message);
    InaError error = {0};
    assert_int_equal(decode("{\"x\":{\"y\":}}", 0, &message, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "x: "));
}

static void malformed_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "}",
        "{]",
        "{\"text\"",
        "{\"text\":",
        "{\"text\":}",
        "{\"text\":\"",
        "{\"text\":\"a",
        "{\"text\":\"a\\",
        "{\"text\":\"a\\\"",
        "{\"text\":\"\\u12\"}",
        "{\"text\":\"\\x\"}",
        "{\"text\":\"\\ud800\"}",
        "{\"text\":\"\\ud800\\u0041\"}",
        "{\"text\":\"\\udc00\"}",
        "{\"text\":\"\\u0000\"}",
        "{\"text\":\"\n\"}",
        "{\"text\":\"\xff\"}",
        "{\"text\":\"\xc0\xaf\"}",
        "{\"text\":\"\xed\xa0\x80\"}",
        "{\"text\":\"\xf4\x90\x80\x80\"}",
        "{\"text\":\"\xe2\x82\"}",
        "{\"text\":\"a\",}",
        "{,}",
        "{\"text\" \"a\"}",
        "{text:\"a\"}",
        "{'text':'a'}",
        "{\"text\":\"a\"}}",
        "{} {}",
        "{}x",
        "{\"reals\":[1,]}",
        "{\"reals\":[,1]}",
        "{\"reals\":[1 2]}",
        "{\"reals\":[1",
        "{\"reals\":[01]}",
        "{\"reals\":[+1]}",
        "{\"reals\":[.5]}",
        "{\"reals\":[5.]}",
        "{\"reals\":[1e]}",
        "{\"reals\":[-]}",
        "{\"reals\":[--1]}",
        "{\"reals\":[0x1]}",
        "{\"boolValue\":tru}",
        "{\"boolValue\":nul}",
        "// {}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_refused(texts[i], "");
}

static void a_text_with_a_nul_in_it_is_refused(void **state)
{
    Everything *message = NULL;
    assert_int_equal(codec_json_decode(TYPE, "{\0}", 3, 0, (ProtobufCMessage **)&message, NULL), -EBADMSG);
    assert_int_equal(codec_json_decode(TYPE, "{}\0", 3, 0, (ProtobufCMessage **)&message, NULL), -EBADMSG);
    assert_int_equal(codec_json_decode(TYPE, NULL, 0, 0, (ProtobufCMessage **)&message, NULL), -EBADMSG);
}

static void every_cut_of_a_good_text_is_refused(void **state)
{
    const char *text = "{\"text\":\"a\\u00e9\\ud83d\\ude00\",\"pairs\":[{\"value1\":-1.5e+3}],\"flags\":[true,false],"
                       "\"blob\":\"AAAA\",\"other\":{\"a\":[null]}}";
    for (size_t size = 0; size < strlen(text); size++) {
        char *exact = malloc(size ? size : 1); /* so that a byte too far is found */
        memcpy(exact, text, size);
        ProtobufCMessage *message = NULL;
        assert_int_equal(codec_json_decode(TYPE, exact, size, 0, &message, NULL), -EBADMSG);
        free(exact);
    }
}

static char *nested(const char *open, const char *middle, const char *close, int depth)
{
    Buffer buffer = {0};
    for (int i = 0; i < depth; i++)
        buffer_append(&buffer, open, strlen(open));
    buffer_append(&buffer, middle, strlen(middle));
    for (int i = 0; i < depth; i++)
        buffer_append(&buffer, close, strlen(close));
    buffer_append(&buffer, "", 1);
    return buffer.data;
}

static void nesting_is_limited(void **state)
{
    struct {
        const char *open, *middle, *close;
        int depth;
    } texts[] = {
        {"{\"node\":{\"child\":", "{}", "}}", 1000},
        {"{\"node\":", "{}", "}", 1000},
        {"{\"a\":", "1", "}", 1000},
        {"{\"a\":", "1", "}", 1000000},
        {"[", "", "]", 1000000},
        {"{\"x\":[", "", "]}", 1000000},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        char *text = nested(texts[i].open, texts[i].middle, texts[i].close, texts[i].depth);
        Everything *message = NULL;
        InaError error = {0};
        assert_true(decode(text, 0, &message, &error) < 0);
        free(text);
    }
    char *text = nested("{\"child\":", "{}", "}", 98);
    ProtobufCMessage *message;
    const ProtobufCMessageDescriptor *node = &sampler__v1__node__descriptor;
    assert_int_equal(codec_json_decode(node, text, strlen(text), 0, &message, NULL), 0);
    protobuf_c_message_free_unpacked(message, NULL);
    free(text);
    text = nested("{\"child\":", "{}", "}", 1000);
    InaError error = {0};
    assert_int_equal(codec_json_decode(node, text, strlen(text), 0, &message, &error), -EMSGSIZE);
    assert_non_null(strstr(error.message, "nested deeper than 100"));
    free(text);
}

static void a_text_that_would_take_much_memory_is_refused(void **state)
{
    Buffer buffer = {0};
    const size_t count = 1000000;
    buffer_print(&buffer, "{\"pairs\":[{}");
    for (size_t i = 1; i < count; i++)
        buffer_append(&buffer, ",{}", 3);
    buffer_append(&buffer, "]}", 3);
    assert_refused(buffer.data, "bytes of memory");
    buffer_free(&buffer);
}

static void long_lists_are_taken(void **state)
{
    Buffer buffer = {0};
    const size_t count = 500000;
    buffer_print(&buffer, "{\"reals\":[0");
    for (size_t i = 1; i < count; i++)
        buffer_append(&buffer, ",1", 2);
    buffer_append(&buffer, "]}", 3);
    Everything *message = accept(buffer.data);
    assert_int_equal(message->n_reals, count);
    assert_true(message->reals[count - 1] == 1);
    drop(message);
    buffer_free(&buffer);
}

static void assert_huge_refused(const char *before, const char *after, const char *reason)
{
    Buffer buffer = {0};
    buffer_append(&buffer, before, strlen(before));
    for (int i = 0; i < 100000; i++)
        buffer_append(&buffer, "7", 1);
    buffer_append(&buffer, after, strlen(after) + 1);
    assert_refused(buffer.data, reason);
    buffer_free(&buffer);
}

static void huge_names_and_numbers_are_refused(void **state)
{
    assert_huge_refused("{\"doubleValue\":", "}", "too many digits");
    assert_huge_refused("{\"int64Value\":\"", "\"}", "int64Value");
    assert_huge_refused("{\"color\":\"", "\"}", "color");
    assert_huge_refused("{\"", "\":1}", "no such field");
}

static void a_string_that_is_not_utf8_is_not_written(void **state)
{
    Everything message;
    sampler__v1__everything__init(&message);
    char *names[] = {"good", "bad\xff"};
    message.names = names;
    message.n_names = 2;
    Buffer buffer = {0};
    InaError error = {0};
    assert_int_equal(codec_json_encode(&message.base, &buffer, &error), -EBADMSG);
    assert_string_equal(error.message, "names[1]: the string is not UTF-8");
    buffer_free(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_types_survive_a_round_trip),
        cmocka_unit_test(original_names_are_accepted_too),
        cmocka_unit_test(integers_may_be_strings_and_whole_numbers_of_any_form),
        cmocka_unit_test(doubles_that_are_not_finite_have_names),
        cmocka_unit_test(every_double_reads_back_the_same),
        cmocka_unit_test(bytes_take_either_alphabet_with_or_without_padding),
        cmocka_unit_test(null_means_not_set),
        cmocka_unit_test(only_one_field_of_a_oneof_is_taken),
        cmocka_unit_test(enums_are_taken_by_name_or_number),
        cmocka_unit_test(enums_of_unknown_name_are_refused),
        cmocka_unit_test(wrong_types_are_refused_with_their_path),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(unknown_fields_are_skipped_unless_told_otherwise),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(a_text_with_a_nul_in_it_is_refused),
        cmocka_unit_test(every_cut_of_a_good_text_is_refused),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(a_text_that_would_take_much_memory_is_refused),
        cmocka_unit_test(long_lists_are_taken),
        cmocka_unit_test(huge_names_and_numbers_are_refused),
        cmocka_unit_test(a_string_that_is_not_utf8_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
