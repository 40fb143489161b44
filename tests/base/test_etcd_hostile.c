/* The etcd client with a server that says what no etcd says, or nothing, or
 * never stops. */
#include "etcd_fixture.h"

#include "base/etcd_codec.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>

#define RANGE "/v3/kv/range"
#define WATCH "/v3/watch"

/* base64: "/m/a", "/m/b", "/x", "/m/\0a", "one", "two" */
#define KEY_A "L20vYQ=="
#define KEY_B "L20vYg=="
#define KEY_OTHER "L3g="
#define KEY_NUL "L20vAGE="
#define ONE "b25l"
#define TWO "dHdv"

#define HEADER(revision) "\"header\":{\"cluster_id\":\"18446744073709551615\",\"revision\":\"" revision "\"}"
#define KV(key, value) "{\"key\":\"" key "\",\"mod_revision\":\"2\",\"value\":\"" value "\"}"
#define READ_NOTHING "{" HEADER("5") "}"
#define READ_A "{" HEADER("5") ",\"kvs\":[" KV(KEY_A, ONE) "]}"
#define CREATED "{\"result\":{" HEADER("5") ",\"created\":true}}\n"
#define EVENT(event) "{\"result\":{" HEADER("6") ",\"events\":[" event "]}}\n"
#define PUT_EVENT(key, value) EVENT("{\"kv\":{\"key\":\"" key "\",\"mod_revision\":\"6\",\"value\":\"" value "\"}}")

static sd_event *event;
static Etcd *etcd;
static FakeEtcd fake;
static const char *health = "{" HEADER("1000") "}";

static int make_event(void **state)
{
    return sd_event_new(&event) < 0 ? -1 : 0;
}

static int free_event(void **state)
{
    health = "{" HEADER("1000") "}";
    event = sd_event_unref(event);
    return 0;
}

static void start(Answer *answers)
{
    fake_etcd_start(&fake, answers, health);
    assert_int_equal(etcd_new(event, fake.url, NULL, &etcd, NULL), 0);
}

static void stop(void)
{
    etcd = etcd_free(etcd);
    fake_etcd_stop(&fake);
}

static Result get(void)
{
    Result result = {0};

    finish_request(event, etcd_get(etcd, "/m/", true, record_result, &result), &result);
    return result;
}

/* --- replies ---- */

static void check_replies(const char *const *bodies, size_t n, EtcdKind kind, int code)
{
    for (size_t i = 0; i < n; i++) {
        EtcdMessage message;
        InaError error = {0};
        int r = etcd_parse_reply(kind, 200, bodies[i], strlen(bodies[i]), &message, &error);
        if (r != -code)
            fail_msg("%s: %d (%s), expected %d", bodies[i], r, error.message, -code);
        if (r < 0)
            assert_memory_equal(error.message, "etcd: ", 6);
        etcd_message_clear(&message);
    }
}

#define CHECK_REPLIES(kind, code, ...)                                                                                 \
    do {                                                                                                               \
        static const char *const bodies_[] = {__VA_ARGS__};                                                            \
        check_replies(bodies_, sizeof(bodies_) / sizeof(*bodies_), kind, code);                                        \
    } while (0)

static void replies_that_no_etcd_gives_are_refused(void **state)
{
    CHECK_REPLIES(
        ETCD_GET, EPROTO, "", "null", "[]", "5", "{", "{}", "<html>", "{\"header\":5}", "{\"header\":{}}",
        "{\"header\":{\"revision\":\"0\"}}", "{\"header\":{\"revision\":\"-3\"}}", "{\"header\":{\"revision\":\"x\"}}",
        "{\"header\":{\"revision\":\"5x\"}}", "{\"header\":{\"revision\":\" 5\"}}", "{\"header\":{\"revision\":\"\"}}",
        "{\"header\":{\"revision\":5.5}}", "{\"header\":{\"revision\":[5]}}",
        "{\"header\":{\"revision\":\"9223372036854775808\"}}",
        "{\"header\":{\"revision\":\"99999999999999999999999999\"}}",
        "{\"header\":{\"revision\":\"5\",\"cluster_id\":5}}", "{\"header\":{\"revision\":\"5\",\"cluster_id\":\"-5\"}}",
        "{\"header\":{\"revision\":\"5\",\"cluster_id\":\"99999999999999999999\"}}",
        "{\"header\":{\"revision\":\"5\"},\"header\":{\"revision\":\"6\"}}");
    CHECK_REPLIES(ETCD_GET, EPROTO, "{" HEADER("5") ",\"kvs\":{}}", "{" HEADER("5") ",\"kvs\":5}",
                  "{" HEADER("5") ",\"kvs\":[5]}", "{" HEADER("5") ",\"kvs\":[null]}", "{" HEADER("5") ",\"kvs\":[{}]}",
                  "{" HEADER("5") ",\"kvs\":[[]]}", "{" HEADER("5") ",\"kvs\":[{\"value\":\"b25l\"}]}",
                  "{" HEADER("5") ",\"kvs\":[{\"key\":5}]}", "{" HEADER("5") ",\"kvs\":[{\"key\":\"\"}]}",
                  "{" HEADER("5") ",\"kvs\":[" KV("L20vYQ", ONE) "]}",    /* no padding */
                  "{" HEADER("5") ",\"kvs\":[" KV("L20vYQ===", ONE) "]}", /* too much */
                  "{" HEADER("5") ",\"kvs\":[" KV("L20vYQ=", ONE) "]}",
                  "{" HEADER("5") ",\"kvs\":[" KV("L20v YQ==", ONE) "]}",
                  "{" HEADER("5") ",\"kvs\":[" KV("L20vYQ==x", ONE) "]}",
                  "{" HEADER("5") ",\"kvs\":[" KV("L20vYR==", ONE) "]}", /* bits that are not there */
                  "{" HEADER("5") ",\"kvs\":[" KV("L20-_Q==", ONE) "]}", /* the other alphabet */
                  "{" HEADER("5") ",\"kvs\":[" KV(KEY_A, "!") "]}",
                  "{" HEADER("5") ",\"kvs\":[{\"key\":\"" KEY_A "\",\"value\":{}}]}",
                  "{" HEADER("5") ",\"kvs\":[{\"key\":\"" KEY_A "\",\"mod_revision\":true}]}",
                  "{" HEADER("5") ",\"kvs\":[{\"key\":\"" KEY_A "\",\"lease\":\"1e3\"}]}",
                  "{" HEADER("5") ",\"kvs\":[" KV(KEY_A, ONE) "," KV(KEY_B, "?") "]}");
    CHECK_REPLIES(ETCD_GRANT, EPROTO, "{" HEADER("5") "}", "{" HEADER("5") ",\"ID\":\"7\"}",
                  "{" HEADER("5") ",\"TTL\":\"7\"}", "{" HEADER("5") ",\"ID\":\"7\",\"TTL\":\"-1\"}",
                  "{" HEADER("5") ",\"ID\":{},\"TTL\":\"5\"}");
    CHECK_REPLIES(ETCD_KEEPALIVE, EPROTO, "{" HEADER("5") "}", "{\"result\":5}", "{\"result\":{}}", "{\"result\":[]}");
    CHECK_REPLIES(ETCD_KEEPALIVE, ENOENT, "{\"result\":{" HEADER("5") ",\"ID\":\"7\"}}",
                  "{\"result\":{" HEADER("5") ",\"ID\":\"7\",\"TTL\":\"0\"}}",
                  "{\"result\":{" HEADER("5") ",\"ID\":\"7\",\"TTL\":\"-1\"}}");
    CHECK_REPLIES(ETCD_PUT_IF, ECANCELED, "{" HEADER("5") "}", "{" HEADER("5") ",\"succeeded\":false}",
                  "{" HEADER("5") ",\"succeeded\":\"true\"}", "{" HEADER("5") ",\"responses\":5}",
                  "{" HEADER("5") ",\"responses\":[]}", "{" HEADER("5") ",\"responses\":[5]}",
                  "{" HEADER("5") ",\"responses\":[{\"response_range\":[]}]}");
    CHECK_REPLIES(ETCD_PUT_IF, EPROTO, "{" HEADER("5") ",\"responses\":[{\"response_range\":{\"kvs\":5}}]}");
    CHECK_REPLIES(ETCD_PUT, 0, "{" HEADER("5") "}", "{" HEADER("5") ",\"kvs\":5,\"unknown\":[[]]}");
}

static void errors_of_etcd_become_errnos(void **state)
{
    static const struct {
        const char *body;
        int code;
    } cases[] = {
        {"{\"error\":\"illegal base64 data\",\"message\":\"illegal base64 data\",\"code\":3}", EINVAL},
        {"{\"error\":\"etcdserver: requested lease not found\",\"code\":5}", ENOENT},
        {"{\"error\":\"etcdserver: permission denied\",\"code\":7}", EACCES},
        {"{\"error\":\"etcdserver: invalid auth token\",\"code\":16}", EACCES},
        {"{\"error\":\"etcdserver: mvcc: database space exceeded\",\"code\":8}", ENOSPC},
        {"{\"error\":\"etcdserver: too many requests\",\"code\":8}", EAGAIN},
        {"{\"error\":\"etcdserver: mvcc: required revision has been compacted\",\"code\":11}", ESTALE},
        {"{\"error\":\"etcdserver: no leader\",\"code\":14}", EHOSTDOWN},
        {"{\"error\":\"x\",\"code\":4}", ETIMEDOUT},
        {"{\"error\":\"x\",\"code\":13}", EIO},
        {"{\"error\":\"x\",\"code\":\"y\"}", EIO},
        {"{\"error\":\"x\"}", EIO},
        {"{\"error\":5}", EPROTO},
        {"{\"error\":{}}", EPROTO},
        {"{}", EPROTO},
        {"{\"error\":{\"grpc_code\":11,\"message\":\"compacted\"}}", ESTALE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        EtcdMessage message;
        InaError error = {0};
        int r = etcd_parse_reply(ETCD_PUT, 400, cases[i].body, strlen(cases[i].body), &message, &error);
        if (r != -cases[i].code)
            fail_msg("%s: %d (%s)", cases[i].body, r, error.message);
    }
}

static void keys_that_are_no_strings_are_left_out(void **state)
{
    Answer answers[] = {
        {RANGE, .body = "{" HEADER("5") ",\"kvs\":[" KV(KEY_NUL, ONE) "," KV(KEY_A, ONE) "," KV(KEY_NUL, TWO) "]}"},
        {NULL},
    };

    start(answers);
    Result result = get();
    assert_int_equal(result.code, 0);
    assert_string_equal(result.kvs, "/m/a=one");
    stop();
}

static void what_is_no_answer_is_an_error_with_a_reason(void **state)
{
    static const struct {
        Answer answer;
        int code;
        const char *reason;
    } cases[] = {
        {{RANGE, .status = 500, .body = "<html>oops</html>"}, EPROTO, "HTTP status 500"},
        {{RANGE, .status = 404, .body = ""}, EPROTO, "HTTP status 404"},
        {{RANGE, .status = 301, .body = "{}"}, EPROTO, "HTTP status 301"},
        {{RANGE, .kind = ANSWER_RAW, .body = "SSH-2.0-OpenSSH\r\n"}, 0, "etcd"},
        {{RANGE, .kind = ANSWER_RAW, .body = ""}, 0, "etcd"},
        {{RANGE, .kind = ANSWER_RAW, .body = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"header\""}, 0, "etcd"},
        {{RANGE, .kind = ANSWER_RAW, .body = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}"}, 0, "etcd"},
        {{RANGE, .kind = ANSWER_RAW, .body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}, 0, "etcd"},
        {{RANGE, .kind = ANSWER_HUGE}, EMSGSIZE, "larger than"},
        {{RANGE, .kind = ANSWER_FLOOD, .body = "{"}, EMSGSIZE, "larger than"},
        {{RANGE, .kind = ANSWER_SILENT}, ETIMEDOUT, "etcd"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        Answer answers[] = {cases[i].answer, {NULL}};
        start(answers);
        Result result = get();
        if (cases[i].code ? result.code != cases[i].code : result.code == 0)
            fail_msg("case %zu: %d (%s)", i, result.code, result.message);
        assert_contains(result.message, cases[i].reason);
        assert_int_equal(result.n_kvs, 0);
        stop();
    }
}

/* --- mirrors ---- */

static Seen seen;
static EtcdMirror *mirror;

static void start_mirror(Answer *answers)
{
    start(answers);
    seen_init(&seen);
    mirror = etcd_mirror_new(etcd, "/m/", record_change, record_synced, &seen);
    assert_non_null(mirror);
}

static void stop_mirror(void)
{
    mirror = etcd_mirror_free(mirror);
    seen_clear(&seen);
    stop();
}

/* After a reading and a bad watch, all is read again, and the good watch serves. */
static void check_bad_watch(Answer bad, const char *reason)
{
    Answer answers[] = {
        {RANGE, .body = READ_A},
        bad,
        {WATCH, .kind = ANSWER_STREAM, .body = CREATED PUT_EVENT(KEY_B, TWO)},
        {NULL},
    };

    answers[1].times = 1;
    start_mirror(answers);
    wait_until(event, map_get(seen.values, "/m/b"));
    if (!strstr(etcd_mirror_error(mirror), reason))
        fail_msg("%.100s: \"%s\" does not say \"%s\"", bad.body, etcd_mirror_error(mirror), reason);
    assert_int_equal(seen.lost, 1);
    assert_int_equal(seen.synced, 2);
    assert_int_equal(fake_etcd_given(&fake, 0), 2);
    assert_string_equal(seen_value(&seen, "/m/a"), "one");
    assert_string_equal(seen_value(&seen, "/m/b"), "two");
    assert_int_equal(seen.changed, 2);
    assert_int_equal(seen.gone, 0);
    stop_mirror();
}

static void a_watch_that_no_etcd_gives_is_begun_again(void **state)
{
    static const struct {
        Answer answer;
        const char *reason;
    } cases[] = {
        {{WATCH, .kind = ANSWER_STREAM, .body = "garbage\n"}, "JSON"},
        {{WATCH, .kind = ANSWER_STREAM, .body = "\n"}, "JSON"},
        {{WATCH, .kind = ANSWER_STREAM, .body = "{}\n"}, "no result"},
        {{WATCH, .kind = ANSWER_STREAM, .body = "{\"result\":[]}\n"}, "no result"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED "{\"result\":{" HEADER("6") ",\"events\":{}}}\n"}, "events"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED EVENT("5")}, "key-value"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED EVENT("{\"kv\":{}}")}, "no key"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED EVENT("{\"type\":5,\"kv\":" KV(KEY_B, ONE) "}")}, "neither"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED EVENT("{\"type\":\"X\",\"kv\":" KV(KEY_B, ONE) "}")},
         "neither"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED PUT_EVENT("L20vYg", ONE)}, "base64"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED PUT_EVENT(KEY_B, "b25")}, "base64"},
        {{WATCH, .kind = ANSWER_STREAM, .body = CREATED "{\"result\":{\"header\":{\"revision\":{}}}}\n"}, "revision"},
        {{WATCH, .kind = ANSWER_STREAM, .body = "{\"result\":{" HEADER("4") ",\"created\":true}}\n"},
         "without its data"},
        {{WATCH, .kind = ANSWER_STREAM,
          .body = "{\"result\":{\"header\":{\"cluster_id\":\"7\",\"revision\":\"9\"},\"created\":true}}\n"},
         "without its data"},
        {{WATCH, .kind = ANSWER_STREAM,
          .body = CREATED "{\"result\":{" HEADER("9") ",\"canceled\":true,\"compact_revision\":\"8\"}}\n"},
         "compacted"},
        {{WATCH, .kind = ANSWER_STREAM,
          .body = CREATED "{\"result\":{" HEADER("9") ",\"canceled\":true,\"cancel_reason\":\"permission\"}}\n"},
         "permission"},
        {{WATCH, .kind = ANSWER_STREAM, .body = "{\"error\":{\"grpc_code\":14,\"message\":\"no leader\"}}\n"},
         "no leader"},
        {{WATCH, .kind = ANSWER_ENDED, .body = CREATED "{\"error\":{\"grpc_code\":8,\"message\":\"no room\"}}"},
         "no room"},
        {{WATCH, .kind = ANSWER_ENDED, .body = CREATED}, "the watch ended"},
        {{WATCH, .kind = ANSWER_ENDED, .body = CREATED "{\"result\":{\"events\":[{\"kv"}, "the watch ended"},
        {{WATCH, .kind = ANSWER_PLAIN, .status = 500, .body = "oops"}, "HTTP status 500"},
        {{WATCH, .kind = ANSWER_PLAIN, .status = 401, .body = "{\"error\":\"who are you\",\"code\":16}"},
         "who are you"},
        {{WATCH, .kind = ANSWER_RAW, .body = "HTTP/1.1 200 OK\r\n"}, "/v3/watch"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_bad_watch(cases[i].answer, cases[i].reason);
}

static void a_line_without_end_is_given_up_at_its_limit(void **state)
{
    struct mallinfo2 before = mallinfo2();

    check_bad_watch((Answer){WATCH, .kind = ANSWER_FLOOD, .body = CREATED}, "a message of more than 8388608 bytes");
    struct mallinfo2 after = mallinfo2();
    assert_true(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + (1 << 20)); /* and its memory */
}

static void a_line_in_many_pieces_is_one_line(void **state)
{
    /* A megabyte in one event: it comes in as many pieces as the network likes. */
    static char body[1500000];
    size_t size = (size_t)snprintf(body, sizeof(body),
                                   CREATED "{\"result\":{" HEADER("6") ",\"events\":[{\"kv\":{\"key\":\"" KEY_B
                                                                       "\",\"value\":\"");
    for (int i = 0; i < 350000; i++)
        size += (size_t)(stpcpy(body + size, ONE) - (body + size));
    strcpy(body + size, "\"}}]}}\n" PUT_EVENT(KEY_A, TWO));
    Answer answers[] = {{RANGE, .body = READ_A}, {WATCH, .kind = ANSWER_STREAM, .body = body}, {NULL}};

    start_mirror(answers);
    wait_until(event, strcmp(seen_value(&seen, "/m/a"), "two") == 0);
    assert_int_equal(strlen(seen_value(&seen, "/m/b")), 3 * 350000);
    assert_int_equal(seen.lost, 0);
    stop_mirror();
}

static void what_is_not_below_the_prefix_is_not_told(void **state)
{
    Answer answers[] = {
        {RANGE, .body = "{" HEADER("5") ",\"kvs\":[" KV(KEY_OTHER, ONE) "," KV(KEY_NUL, ONE) "," KV(KEY_A, ONE) "]}"},
        {WATCH, .kind = ANSWER_STREAM,
         .body = CREATED PUT_EVENT(KEY_OTHER, ONE) PUT_EVENT(KEY_NUL, ONE)
             EVENT("{\"type\":\"DELETE\",\"kv\":{\"key\":\"" KEY_OTHER "\"}}") EVENT("") PUT_EVENT(KEY_B, TWO)},
        {NULL},
    };

    start_mirror(answers);
    wait_until(event, map_get(seen.values, "/m/b"));
    assert_int_equal(map_count(seen.values), 2);
    assert_int_equal(seen.gone, 0);
    stop_mirror();
}

static void deleting_what_is_not_there_is_not_told(void **state)
{
    Answer answers[] = {
        {RANGE, .body = READ_NOTHING},
        {WATCH, .kind = ANSWER_STREAM,
         .body = CREATED EVENT("{\"type\":\"DELETE\",\"kv\":{\"key\":\"" KEY_A "\"}}") PUT_EVENT(KEY_B, TWO)
             EVENT("{\"type\":\"DELETE\",\"kv\":{\"key\":\"" KEY_B "\",\"value\":\"" ONE "\"}}")},
        {NULL},
    };

    start_mirror(answers);
    wait_until(event, seen.gone == 1);
    assert_int_equal(map_count(seen.values), 0);
    stop_mirror();
}

/* An etcd that lost its data may have come to the same revisions with other values. */
static void another_value_of_the_same_revision_is_told(void **state)
{
    Answer answers[] = {
        {RANGE, .times = 1, .body = READ_A},
        {RANGE, .body = "{" HEADER("5") ",\"kvs\":[" KV(KEY_A, TWO) "]}"},
        {WATCH, .times = 1, .kind = ANSWER_ENDED, .body = CREATED},
        {WATCH, .kind = ANSWER_STREAM, .body = CREATED},
        {NULL},
    };

    start_mirror(answers);
    wait_until(event, seen.synced == 2);
    assert_string_equal(seen_value(&seen, "/m/a"), "two");
    assert_int_equal(seen.changed, 2);
    assert_int_equal(seen.gone, 0);
    stop_mirror();
}

static void what_a_reading_does_not_find_is_gone(void **state)
{
    Answer answers[] = {
        {RANGE, .times = 1, .body = "{" HEADER("5") ",\"kvs\":[" KV(KEY_A, ONE) "," KV(KEY_B, TWO) "]}"},
        {RANGE, .body = READ_A},
        {WATCH, .times = 1, .kind = ANSWER_ENDED, .body = CREATED},
        {WATCH, .kind = ANSWER_STREAM, .body = CREATED},
        {NULL},
    };

    start_mirror(answers);
    wait_until(event, seen.synced == 2);
    assert_int_equal(seen.changed, 2);
    assert_int_equal(seen.gone, 1);
    assert_string_equal(seen_value(&seen, "/m/b"), "");
    stop_mirror();
}

static void bad_readings_are_repeated_after_growing_pauses(void **state)
{
    Answer answers[] = {
        {RANGE, .times = 1, .body = "{}"},
        {RANGE, .times = 1, .status = 503, .body = "{\"error\":\"etcdserver: no leader\",\"code\":14}"},
        {RANGE, .times = 1, .kind = ANSWER_RAW, .body = "HTTP/1.1 200 OK\r\n"},
        {RANGE, .body = READ_A},
        {WATCH, .kind = ANSWER_STREAM, .body = CREATED},
        {NULL},
    };
    struct timespec begin, end;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    start_mirror(answers);
    wait_until(event, seen.connected);
    clock_gettime(CLOCK_MONOTONIC, &end);
    /* at least half of 0.1, 0.2 and 0.4 s */
    double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    assert_true(seconds >= 0.35);
    assert_int_equal(seen.lost, 0);
    assert_int_equal(seen.changed, 1);
    stop_mirror();
}

static void a_watch_that_always_ends_does_not_make_us_hurry(void **state)
{
    Answer answers[] = {
        {RANGE, .body = READ_A},
        {WATCH, .kind = ANSWER_ENDED, .body = CREATED},
        {NULL},
    };

    start_mirror(answers);
    time_t end = time(NULL) + 4;
    while (time(NULL) < end || (fake_etcd_given(&fake, 0) < 2 && time(NULL) < end + 60))
        sd_event_run(event, 100000);
    /* 0.05 + 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 2.5 ... s */
    assert_in_range(fake_etcd_given(&fake, 0), 2, 8);
    assert_int_equal(seen.changed, 1);
    stop_mirror();
}

static void a_server_without_signs_of_life_is_lost(void **state)
{
    Answer answers[] = {
        {RANGE, .times = 1, .body = READ_A},
        {RANGE, .kind = ANSWER_SILENT},
        {WATCH, .kind = ANSWER_STREAM, .body = CREATED},
        {NULL},
    };

    health = NULL;
    start_mirror(answers);
    wait_until(event, seen.connected);
    wait_until(event, seen.lost == 1);
    assert_contains(etcd_mirror_error(mirror), "no sign of life");
    assert_string_equal(seen_value(&seen, "/m/a"), "one");
    stop_mirror();
}

static void a_sign_of_life_from_another_etcd_is_none(void **state)
{
    Answer answers[] = {
        {RANGE, .body = READ_A},
        {WATCH, .kind = ANSWER_STREAM, .body = CREATED},
        {NULL},
    };

    health = "{\"header\":{\"cluster_id\":\"7\",\"revision\":\"1000\"}}";
    start_mirror(answers);
    wait_until(event, seen.synced == 2);
    assert_contains(etcd_mirror_error(mirror), "without its data");
    assert_int_equal(seen.changed, 1);
    stop_mirror();
}

/* --- at random ---- */

/* Real texts with bytes exchanged, cut and repeated: none may crash or leak. */
static void random_texts_do_no_harm(void **state)
{
    static const char *const texts[] = {
        "{" HEADER("5") ",\"kvs\":[" KV(KEY_A, ONE) "," KV(KEY_B, TWO) "],\"count\":\"2\"}",
        "{" HEADER("5") ",\"responses\":[{\"response_range\":{" HEADER("5") ",\"kvs\":[" KV(KEY_A, ONE) "]}}]}",
        "{\"result\":{" HEADER("5") ",\"ID\":\"2324035539197667597\",\"TTL\":\"5\"}}",
        "{\"result\":{" HEADER("6") ",\"events\":[{\"type\":\"DELETE\",\"kv\":" KV(KEY_A, "") "},{\"kv\":" KV(
            KEY_B, ONE) "}]}}",
        "{\"error\":{\"grpc_code\":11,\"http_code\":400,\"message\":\"compacted\",\"http_status\":\"Bad Request\"}}",
    };
    unsigned seed = 4711;

    for (int i = 0; i < 200000; i++) {
        char text[1024];
        const char *original = texts[(size_t)rand_r(&seed) % (sizeof(texts) / sizeof(*texts))];
        size_t size = strlen(original);
        memcpy(text, original, size);
        for (int n = rand_r(&seed) % 4; n >= 0; n--) {
            size_t at = (size_t)rand_r(&seed) % size;
            switch (rand_r(&seed) % 4) {
            case 0:
                text[at] = (char)rand_r(&seed);
                break;
            case 1:
                text[at] = "{}[]\",:0=\\"[rand_r(&seed) % 10];
                break;
            case 2:
                memmove(text + at, text + at + 1, --size - at);
                break;
            default:
                text[at] = text[(size_t)rand_r(&seed) % size];
            }
        }
        EtcdMessage message;
        (void)etcd_parse_reply((EtcdKind)(rand_r(&seed) % (ETCD_PUT_IF + 1)), 200, text, size, &message, NULL);
        etcd_message_clear(&message);
        (void)etcd_parse_event(text, size, &message, NULL);
        etcd_message_clear(&message);
    }
}

#define WITH_EVENT(test) cmocka_unit_test_setup_teardown(test, make_event, free_event)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_that_no_etcd_gives_are_refused),
        cmocka_unit_test(errors_of_etcd_become_errnos),
        WITH_EVENT(keys_that_are_no_strings_are_left_out),
        WITH_EVENT(what_is_no_answer_is_an_error_with_a_reason),
        WITH_EVENT(a_watch_that_no_etcd_gives_is_begun_again),
        WITH_EVENT(a_line_without_end_is_given_up_at_its_limit),
        WITH_EVENT(a_line_in_many_pieces_is_one_line),
        WITH_EVENT(what_is_not_below_the_prefix_is_not_told),
        WITH_EVENT(deleting_what_is_not_there_is_not_told),
        WITH_EVENT(another_value_of_the_same_revision_is_told),
        WITH_EVENT(what_a_reading_does_not_find_is_gone),
        WITH_EVENT(bad_readings_are_repeated_after_growing_pauses),
        WITH_EVENT(a_watch_that_always_ends_does_not_make_us_hurry),
        WITH_EVENT(a_server_without_signs_of_life_is_lost),
        WITH_EVENT(a_sign_of_life_from_another_etcd_is_none),
        cmocka_unit_test(random_texts_do_no_harm),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
