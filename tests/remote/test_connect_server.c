/* The Connect server, over plain sockets: what it answers, what it refuses,
 * and that nothing harms it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"
#include "provider.h"
#include "remote/codec.h"
#include "sampler.pb-c.h"
#include <cmocka.h>

#define JSON "Content-Type: application/json\r\n"
#define PROTO "Content-Type: application/proto\r\n"
#define ECHO PROVIDER_PATH "Echo"
#define FAIL PROVIDER_PATH "Fail"
#define WAIT PROVIDER_PATH "Wait"

static Provider provider;

static int start(void **state)
{
    provider_start(&provider);
    return 0;
}

static int stop(void **state)
{
    provider_stop(&provider);
    return 0;
}

static void json(const char *path, const char *more, const char *body, Answer *answer)
{
    char headers[1024];
    snprintf(headers, sizeof(headers), JSON "%s", more);
    raw_post(provider.port, path, headers, body, strlen(body), answer);
}

static void assert_alive(void)
{
    Answer answer;
    json(ECHO, "", "{\"text\":\"hello\"}", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"text\":\"hello\"}");
}

static void assert_error(const Answer *answer, int status, const char *code, const char *message)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "{\"code\":\"%s\",\"message\":", code);
    if (answer->status != status || !strstr(answer->body, expected) || !strstr(answer->body, message))
        fail_msg("expected %d %s ...%s..., got %d %s", status, expected, message, answer->status, answer->body);
    assert_non_null(strstr(answer->head, "application/json"));
}

static void a_json_call_is_answered_in_json(void **state)
{
    Answer answer;
    json(ECHO, "Connect-Protocol-Version: 1\r\n", "{\"int64_value\":\"7\",\"unknown\":[1,{}]}", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"int64Value\":\"7\"}");
    assert_non_null(strstr(answer.head, "Content-Type: application/json"));
}

static void a_binary_call_is_answered_in_binary(void **state)
{
    Answer answer;
    raw_post(provider.port, ECHO, PROTO, "\x7a\x02hi", 4, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.size, 4);
    assert_memory_equal(answer.body, "\x7a\x02hi", 4);
    assert_non_null(strstr(answer.head, "Content-Type: application/proto"));
    raw_post(provider.port, ECHO, PROTO, "", 0, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.size, 0);
}

static void a_content_type_may_have_parameters(void **state)
{
    Answer answer;
    raw_post(provider.port, ECHO, "Content-Type: application/JSON; charset=utf-8\r\n", "{}", 2, &answer);
    assert_int_equal(answer.status, 200);
    static const char *const others[] = {"", "Content-Type: text/plain\r\n", "Content-Type: application/jsonx\r\n",
                                         "Content-Type: application/connect+json\r\n",
                                         "Content-Type: application/grpc\r\n"};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        raw_post(provider.port, ECHO, others[i], "{}", 2, &answer);
        assert_error(&answer, 415, "unknown", "application/proto or application/json");
        assert_non_null(strstr(answer.head, "Accept-Post: application/proto, application/json"));
    }
}

static void a_failure_has_connect_s_code_status_and_message(void **state)
{
    static const struct {
        int code, status;
        const char *name;
    } codes[] = {
        {1, 499, "canceled"},
        {2, 500, "unknown"},
        {3, 400, "invalid_argument"},
        {4, 504, "deadline_exceeded"},
        {5, 404, "not_found"},
        {6, 409, "already_exists"},
        {7, 403, "permission_denied"},
        {8, 429, "resource_exhausted"},
        {9, 400, "failed_precondition"},
        {10, 409, "aborted"},
        {11, 400, "out_of_range"},
        {12, 501, "unimplemented"},
        {13, 500, "internal"},
        {14, 503, "unavailable"},
        {15, 500, "data_loss"},
        {16, 401, "unauthenticated"},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        Answer answer;
        char body[64];
        snprintf(body, sizeof(body), "{\"code\":%d,\"message\":\"a \\\"b\\\"\"}", codes[i].code);
        json(FAIL, "", body, &answer);
        assert_error(&answer, codes[i].status, codes[i].name, "\"a \\\"b\\\"\"");
    }
}

static void a_call_without_the_right_token_is_refused(void **state)
{
    static const char *const headers[] = {
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer 0123456789abcdee\r\n",
        "Authorization: Bearer 0123456789abcde\r\n",
        "Authorization: Bearer 0123456789abcdef0\r\n",
        "Authorization: Basic 0123456789abcdef\r\n",
        "Authorization: 0123456789abcdef\r\n",
        "Cookie: token=0123456789abcdef\r\n",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        Answer answer;
        char text[512];
        snprintf(text, sizeof(text), "POST " ECHO " HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 2\r\n%s\r\n{}",
                 headers[i]);
        raw_ask(provider.port, text, &answer);
        assert_error(&answer, 401, "unauthenticated", "token");
        assert_non_null(strstr(answer.head, "WWW-Authenticate: Bearer"));
    }
    Answer answer;
    raw_ask(provider.port, "GET /sampler.v1.Sampler/Nothing HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
    assert_int_equal(answer.status, 401);
}

static void only_posts_are_calls(void **state)
{
    Answer answer;
    raw_ask(provider.port, "GET " ECHO " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " PROVIDER_TOKEN "\r\n\r\n",
            &answer);
    assert_int_equal(answer.status, 405);
    assert_non_null(strstr(answer.head, "Allow: POST"));
}

static void unknown_services_and_methods_are_refused(void **state)
{
    Answer answer;
    json(PROVIDER_PATH "Nothing", "", "{}", &answer);
    assert_error(&answer, 501, "unimplemented", "sampler.v1.Sampler has no method \\\"Nothing\\\"");
    json(PROVIDER_PATH "echo", "", "{}", &answer);
    assert_error(&answer, 501, "unimplemented", "echo");
    json("/sampler.v1.Sampler", "", "{}", &answer);
    assert_error(&answer, 501, "unimplemented", "");
    json(PROVIDER_PATH "Echo/x", "", "{}", &answer);
    assert_error(&answer, 501, "unimplemented", "Echo/x");
    json("/sampler.v1.Nobody/Echo", "", "{}", &answer);
    assert_int_equal(answer.status, 404);
}

static void a_service_that_is_not_exported_is_not_there(void **state)
{
    Answer answer;
    json("/sampler.v1.Hidden/Echo", "", "{}", &answer);
    assert_int_equal(answer.status, 404);
}

static void an_endpoint_that_is_not_here_is_gone(void **state)
{
    Answer answer;
    char header[256];
    snprintf(header, sizeof(header), "X-Inaetics-Endpoint: " PROVIDER_AGENT "/%s\r\n", provider.endpoint);
    json(ECHO, header, "{}", &answer);
    assert_int_equal(answer.status, 200);
    snprintf(header, sizeof(header), "X-Inaetics-Endpoint: other-agent/%s\r\n", provider.endpoint);
    json(ECHO, header, "{}", &answer);
    assert_error(&answer, 410, "unavailable", "not offered here");
    json(ECHO, "X-Inaetics-Endpoint: " PROVIDER_AGENT "/sampler.v1.Sampler-999\r\n", "{}", &answer);
    assert_error(&answer, 410, "unavailable", "not offered here");
}

static void of_several_providers_the_one_asked_for_answers(void **state)
{
    Answer answer;
    char header[256];
    json(ECHO, "", "{}", &answer);
    assert_string_equal(answer.body, "{}");
    snprintf(header, sizeof(header), "X-Inaetics-Endpoint: " PROVIDER_AGENT "/%s\r\n", provider.second);
    json(ECHO, header, "{}", &answer);
    assert_string_equal(answer.body, "{\"int32Value\":2}");
}

static void headers_that_do_not_fit_the_protocol_are_refused(void **state)
{
    Answer answer;
    json(ECHO, "Connect-Protocol-Version: 2\r\n", "{}", &answer);
    assert_error(&answer, 400, "invalid_argument", "must be 1");
    json(ECHO, "Content-Encoding: gzip\r\n", "{}", &answer);
    assert_error(&answer, 501, "unimplemented", "identity");
    json(ECHO, "Content-Encoding: identity\r\n", "{}", &answer);
    assert_int_equal(answer.status, 200);
    static const char *const timeouts[] = {"-1", "1.5", "soon", "12345678901", "0x10", "1 2"};
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(*timeouts); i++) {
        char header[64];
        snprintf(header, sizeof(header), "Connect-Timeout-Ms: %s\r\n", timeouts[i]);
        json(ECHO, header, "{}", &answer);
        assert_error(&answer, 400, "invalid_argument", "Connect-Timeout-Ms");
    }
    json(ECHO, "Connect-Timeout-Ms: 9999999999\r\n", "{}", &answer);
    assert_int_equal(answer.status, 200);
}

static void the_provider_learns_caller_and_deadline(void **state)
{
    Answer answer;
    json(WAIT, "X-Inaetics-Agent: consumer-7\r\nConnect-Timeout-Ms: 20000\r\n", "{\"milliseconds\":1}", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"caller\":\"consumer-7\""));
    const char *deadline = strstr(answer.body, "\"deadlineMs\":\"");
    assert_non_null(deadline);
    assert_in_range(strtol(deadline + 14, NULL, 10), 1, 20000);
    json(WAIT, "", "{\"milliseconds\":1}", &answer);
    assert_non_null(strstr(answer.body, "\"caller\":\"127.0.0.1:"));
}

static void a_deadline_that_passes_ends_the_call(void **state)
{
    Answer answer;
    json(WAIT, "Connect-Timeout-Ms: 50\r\n", "{}", &answer);
    assert_error(&answer, 504, "deadline_exceeded", "");
    json(ECHO, "Connect-Timeout-Ms: 0\r\n", "{}", &answer);
    assert_true(answer.status == 504 || answer.status == 200);
}

static unsigned count_cancelled(void)
{
    Answer answer;
    json(ECHO, "", "{\"text\":\"cancelled?\"}", &answer);
    const char *count = strstr(answer.body, "\"uint32Value\":");
    return count ? (unsigned)strtoul(count + 14, NULL, 10) : 0;
}

static void callers_who_leave_cancel_their_calls(void **state)
{
    enum { CALLERS = 100 };
    static const char text[] = "POST " WAIT " HTTP/1.1\r\nHost: a\r\n" JSON "Authorization: Bearer " PROVIDER_TOKEN
                               "\r\nConnect-Timeout-Ms: 60000\r\nContent-Length: 2\r\n\r\n{}";
    int fds[CALLERS];
    unsigned before = count_cancelled();
    for (int i = 0; i < CALLERS; i++) {
        fds[i] = raw_connect(provider.port);
        raw_send(fds[i], text, strlen(text));
    }
    assert_alive();
    for (int i = 0; i < CALLERS; i++)
        close(fds[i]);
    unsigned now = before;
    for (int tries = 0; tries < 500 && now < before + CALLERS; tries++) {
        usleep(20000);
        now = count_cancelled();
    }
    assert_int_equal(now, before + CALLERS);
}

static void malformed_messages_are_refused_with_their_path(void **state)
{
    Answer answer;
    json(ECHO, "", "{\"pair\":[1,2]}", &answer);
    assert_error(&answer, 400, "invalid_argument", "pair: expected an object, found an array");
    json(ECHO, "", "", &answer);
    assert_error(&answer, 400, "invalid_argument", "the end of the text");
    raw_post(provider.port, ECHO, PROTO, "\x7a\x05hi", 4, &answer);
    assert_error(&answer, 400, "invalid_argument", "text: the message is cut short");
    raw_post(provider.port, ECHO, PROTO, "{}", 2, &answer);
    assert_error(&answer, 400, "invalid_argument", "");
    Buffer buffer = {0};
    for (int i = 0; i < 1000; i++)
        buffer_append(&buffer, "{\"node\":", 8);
    raw_post(provider.port, ECHO, JSON, buffer.data, buffer.size, &answer);
    assert_error(&answer, 429, "resource_exhausted", "nested deeper than 100");
    buffer_free(&buffer);
}

static void http_that_lies_or_stops_harms_nothing(void **state)
{
    static const char *const texts[] = {
        "POST /service/7 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /service HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST " ECHO " HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000000000\r\n\r\n{}",
        "POST " ECHO " HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n{}",
        "POST " ECHO " HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}",
        "POST  HTTP/1.1\r\n\r\n",
        "POST " ECHO "\r\n\r\n",
        "\r\n\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "POST /%00%ff%zz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST /../../sampler.v1.Sampler/Echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        int fd = raw_connect(provider.port);
        Answer answer;
        raw_send(fd, texts[i], strlen(texts[i]));
        if (i < 5) {
            raw_receive(fd, &answer);
            if (answer.status != 0 && (answer.status < 400 || answer.status > 499))
                fail_msg("%s is answered with %d", texts[i], answer.status);
        }
        close(fd);
        assert_alive();
    }
    static const char half[] = "POST " ECHO " HTTP/1.1\r\nHost: a\r\n" JSON "Content-Length: 100\r\n\r\n{\"text\":";
    int silent = raw_connect(provider.port);
    raw_send(silent, half, strlen(half));
    assert_alive();
    close(silent);
    assert_alive();
}

static void a_caller_that_stops_reading_blocks_nobody(void **state)
{
    static char text[20 * 1000 * 1000];
    Buffer body = {0};
    char head[512];
    memset(text, 'x', sizeof(text));
    buffer_append(&body, "{\"text\":\"", 9);
    buffer_append(&body, text, sizeof(text));
    buffer_append(&body, "\"}", 2);
    assert_false(body.failed);
    int length = snprintf(head, sizeof(head),
                          "POST " ECHO " HTTP/1.1\r\nHost: a\r\n" JSON "Authorization: Bearer " PROVIDER_TOKEN
                          "\r\nContent-Length: %zu\r\n\r\n",
                          body.size);
    int fd = raw_connect(provider.port);
    raw_send(fd, head, (size_t)length);
    raw_send(fd, body.data, body.size);
    buffer_free(&body);
    for (int i = 0; i < 20; i++)
        assert_alive();
    close(fd);
    assert_alive();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_call_is_answered_in_json),
        cmocka_unit_test(a_binary_call_is_answered_in_binary),
        cmocka_unit_test(a_content_type_may_have_parameters),
        cmocka_unit_test(a_failure_has_connect_s_code_status_and_message),
        cmocka_unit_test(a_call_without_the_right_token_is_refused),
        cmocka_unit_test(only_posts_are_calls),
        cmocka_unit_test(unknown_services_and_methods_are_refused),
        cmocka_unit_test(a_service_that_is_not_exported_is_not_there),
        cmocka_unit_test(an_endpoint_that_is_not_here_is_gone),
        cmocka_unit_test(of_several_providers_the_one_asked_for_answers),
        cmocka_unit_test(headers_that_do_not_fit_the_protocol_are_refused),
        cmocka_unit_test(the_provider_learns_caller_and_deadline),
        cmocka_unit_test(a_deadline_that_passes_ends_the_call),
        cmocka_unit_test(callers_who_leave_cancel_their_calls),
        cmocka_unit_test(malformed_messages_are_refused_with_their_path),
        cmocka_unit_test(http_that_lies_or_stops_harms_nothing),
        cmocka_unit_test(a_caller_that_stops_reading_blocks_nobody),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
