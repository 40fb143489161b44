/* /deployment and /agent: what ACE's and Celix's agents fetch, byte by byte. */
#include "agent_fixture.h"
#include "base/cleanup.h"
#include "tests/provisioning/model_test.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE (24u * 1024u * 1024u) /* more than the kernel buffers on loopback */

/* Versions 1.0.0 and 2.0.0 of three targets, both of bundles t.a and t.b. */
static int set_up(void **state)
{
    agents_set_up(state);
    Agents *agents = *state;
    agents->items[0] = agents_bundle(agents, "a-1.0.0.jar", "t.a", "1.0.0", "body of a", 9);
    agents->items[1] = agents_bundle(agents, "b-1.1.0.jar", "t.b", "1.1.0", "body of b", 9);
    agents_version(agents, "1.0.0", 2);
    agents_version(agents, "2.0.0", 2);
    return 0;
}

static char *package_bytes(Agents *agents, const char *target, const char *version, const char *from, size_t *ret_size)
{
    Package *package;

    assert_int_equal(targets_package(NULL, target, version, from, &package, NULL), 0);
    *ret_size = (size_t)package_size(package);
    char *bytes = malloc(*ret_size);
    assert_int_equal(package_read(package, 0, bytes, *ret_size, ret_size, NULL), 0);
    package_unref(package);
    return bytes;
}

static void assert_package(Agents *agents, const char *line, const char *version, const char *from)
{
    size_t size;
    AUTO_FREE char *bytes = package_bytes(agents, "t", version, from, &size);
    Reply reply = ask(agents, line, NULL);

    assert_int_equal(reply.status, 200);
    assert_true(reply.whole);
    if (reply.size != size || memcmp(reply.body, bytes, size) != 0)
        fail_msg("%s is not the package %s from %s", line, version, from ? from : "nothing");
    reply_free(&reply);
}

/* --- the list ----------------------------------------------------------------------- */

static void versions_are_lines_in_ascending_order(void **state)
{
    Agents *agents = *state;
    Reply reply = ask(agents, "GET /deployment/t/versions/", "User-Agent: Java/17\r\n");

    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "1.0.0\n2.0.0\n");
    assert_string_equal(header_of(&reply, "Content-Type"), "text/plain");
    reply_free(&reply);
    assert_reply(agents, "GET /deployment/t/versions", 200, "1.0.0\n2.0.0\n");
}

static void a_poll_makes_a_target_known(void **state)
{
    Agents *agents = *state;

    assert_reply(agents, "GET /deployment/new-1/versions/", 200, "");
    assert_string_equal(agents_told(agents), "seen new-1\n");
}

/* --- packages -------------------------------------------------------------------------- */

static void a_package_comes_in_chunks_with_its_type(void **state)
{
    Agents *agents = *state;
    Reply reply = ask(agents, "GET /deployment/t/versions/2.0.0", NULL);

    assert_int_equal(reply.status, 200);
    assert_string_equal(header_of(&reply, "Content-Type"), "application/vnd.osgi.dp");
    assert_string_equal(header_of(&reply, "Accept-Ranges"), "bytes");
    assert_string_equal(header_of(&reply, "Transfer-Encoding"), "chunked");
    assert_string_equal(header_of(&reply, "Content-Length"), "");
    assert_memory_equal(reply.body, "PK\3\4", 4);
    reply_free(&reply);
    assert_string_equal(agents_told(agents), "offered t 2.0.0\n");
    assert_package(agents, "GET /deployment/t/versions/1.0.0", "1.0.0", NULL);
    assert_package(agents, "GET /deployment/t/versions/2.0.0", "2.0.0", NULL);
}

static void a_fix_package_is_given_from_what_is_kept_only(void **state)
{
    Agents *agents = *state;

    assert_package(agents, "GET /deployment/t/versions/2.0.0?current=1.0.0", "2.0.0", "1.0.0");
    assert_package(agents, "GET /deployment/t/versions/2.0.0?current=0.5.0", "2.0.0", NULL);
    assert_package(agents, "GET /deployment/t/versions/2.0.0?current=2.0.0", "2.0.0", NULL);
    assert_package(agents, "GET /deployment/t/versions/1.0.0?current=2.0.0", "1.0.0", NULL);
    assert_package(agents, "GET /deployment/t/versions/2.0.0?current=", "2.0.0", NULL);
    assert_package(agents, "GET /deployment/t/versions/2.0.0?current=1.0.0)%0d%0aX:%20y", "2.0.0", NULL);
    assert_package(agents, "GET /deployment/t/versions/2.0.0?current=../../1.0.0", "2.0.0", NULL);
}

static void the_size_is_told_with_a_tenth_more(void **state)
{
    Agents *agents = *state;
    Reply reply = ask(agents, "HEAD /deployment/t/versions/2.0.0", NULL);

    assert_int_equal(reply.status, 200);
    assert_string_equal(header_of(&reply, "X-ACE-DPSize"), "19"); /* (9 + 9) * 1.1 */
    assert_int_equal(reply.size, 0);
    reply_free(&reply);
    reply = ask(agents, "HEAD /deployment/t/versions/2.0.0?current=1.0.0", NULL);
    assert_string_equal(header_of(&reply, "X-ACE-DPSize"), "9");
    reply_free(&reply);
    assert_string_equal(agents_told(agents), "");
}

static void what_is_not_there_is_404_what_is_malformed_400(void **state)
{
    static const char *const malformed[] = {
        "/deployment",
        "/deployment/",
        "/deployment/t",
        "/deployment/t/",
        "/deployment/t/version",
        "/deployment//versions/",
        "/deployment/t/versions/1.0.0/",
        "/deployment/t/versions/1.0.0/x",
        "/deployment/t%2fu/versions/",
        "/deployment/t%20u/versions/",
        "/deployment/%c3%a4/versions/",
        "/deployment/a%5cb/versions",
        "/deployment/t;x/versions",
        "/deployment/t/versions/12345678901234567890123456789012",
    };
    static const char *const absent[] = {
        "/deployment/t/versions/3.0.0", "/deployment/t/versions/1.0",  "/deployment/unknown/versions/1.0.0",
        "/deployment/t/versions/x",     "/deployment/t/versions/%25s",
    };
    Agents *agents = *state;
    char line[300], name[300];

    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        (void)snprintf(line, sizeof line, "GET %s", malformed[i]);
        assert_reply(agents, line, 400, NULL);
    }
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        (void)snprintf(line, sizeof line, "GET %s", absent[i]);
        assert_reply(agents, line, 404, NULL);
    }
    memset(name, 'n', TARGET_ID_MAX + 1);
    name[TARGET_ID_MAX + 1] = '\0';
    (void)snprintf(line, sizeof line, "GET /deployment/%.*s/versions", TARGET_ID_MAX + 1, name);
    assert_reply(agents, line, 400, NULL);
    assert_reply(agents, "GET /deployment/t/versions/2.0.0?processor=x", 500, NULL);
    assert_reply(agents, "POST /deployment/t/versions/2.0.0", 405, NULL);
    assert_reply(agents, "DELETE /deployment/t/versions/", 405, NULL);
    /* Dots lead nowhere: the server of HTTP knows no such path. */
    Reply reply = ask(agents, "GET /deployment/../versions/", NULL);
    assert_true(reply.status == 400 || reply.status == 404);
    reply_free(&reply);
    assert_string_equal(agents_told(agents), "");
}

static void another_target_than_the_caller_is_not_told_about(void **state)
{
    Agents *agents = *state;

    agents->forbidden = "t";
    assert_reply(agents, "GET /deployment/t/versions/", 403, NULL);
    assert_reply(agents, "GET /deployment/t/versions/2.0.0", 403, NULL);
    assert_reply(agents, "GET /agent/t/org.apache.ace.agent/versions/", 403, NULL);
    assert_string_equal(agents_told(agents), "");
}

/* --- ranges --------------------------------------------------------------------------------- */

static void a_download_goes_on_at_any_offset(void **state)
{
    Agents *agents = *state;
    size_t size;
    AUTO_FREE char *bytes = package_bytes(agents, "t", "2.0.0", NULL, &size);
    char headers[100], expected[100];

    for (size_t offset = 0; offset < size; offset += offset < 8 || offset + 8 > size ? 1 : 97) {
        (void)snprintf(headers, sizeof headers, "Range: bytes=%zu-\r\n", offset);
        Reply reply = ask(agents, "GET /deployment/t/versions/2.0.0", headers);
        (void)snprintf(expected, sizeof expected, "bytes %zu-%zu/%zu", offset, size - 1, size);
        assert_int_equal(reply.status, 206);
        assert_string_equal(header_of(&reply, "Content-Range"), expected);
        assert_int_equal(reply.size, size - offset);
        assert_memory_equal(reply.body, bytes + offset, size - offset);
        reply_free(&reply);
    }
}

static void ranges_are_given_as_rfc_9110_has_them(void **state)
{
    Agents *agents = *state;
    size_t size;
    AUTO_FREE char *bytes = package_bytes(agents, "t", "2.0.0", NULL, &size);
    struct {
        const char *range;
        int status;
        size_t start, end;
    } cases[] = {
        {"bytes=5-5", 206, 5, 6},
        {"bytes=0-0", 206, 0, 1},
        {"bytes=10-99", 206, 10, 100},
        {"bytes=10-999999999999999999999999", 206, 10, size},
        {"Bytes=-7", 206, size - 7, size},
        {"bytes=-99999", 206, 0, size},
        /* lies */
        {"bytes=9-5", 200, 0, size},
        {"bytes=a-5", 200, 0, size},
        {"bytes=-", 200, 0, size},
        {"bytes=1-2,4-5", 200, 0, size},
        {"bytes=0x1-", 200, 0, size},
        {"bytes=--1", 200, 0, size},
        {"lines=1-2", 200, 0, size},
        {"bytes", 200, 0, size},
    };
    char headers[100];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)snprintf(headers, sizeof headers, "Range: %s\r\n", cases[i].range);
        Reply reply = ask(agents, "GET /deployment/t/versions/2.0.0", headers);
        if (reply.status != cases[i].status || reply.size != cases[i].end - cases[i].start)
            fail_msg("%s: %d, %zu bytes", cases[i].range, reply.status, reply.size);
        assert_memory_equal(reply.body, bytes + cases[i].start, reply.size);
        assert_true(reply.whole);
        reply_free(&reply);
    }
}

static void beyond_the_end_means_complete(void **state)
{
    static const char *const beyond[] = {"%zu-", "%zu-99999999", "99999999999999999999999-", "-0"};
    Agents *agents = *state;
    size_t size;
    AUTO_FREE char *bytes = package_bytes(agents, "t", "2.0.0", NULL, &size);
    char range[80], headers[100], expected[80];

    (void)snprintf(expected, sizeof expected, "bytes */%zu", size);
    for (size_t i = 0; i < 4; i++) {
        if (strncmp(beyond[i], "%zu", 3) == 0)
            (void)snprintf(range, sizeof range, "%zu%s", size, beyond[i] + 3);
        else
            strcpy(range, beyond[i]);
        (void)snprintf(headers, sizeof headers, "Range: bytes=%s\r\n", range);
        Reply reply = ask(agents, "GET /deployment/t/versions/2.0.0", headers);
        assert_int_equal(reply.status, 416);
        assert_string_equal(header_of(&reply, "Content-Range"), expected);
        reply_free(&reply);
    }
}

/* --- load, slowness, damage -------------------------------------------------------------------- */

static void above_the_limit_agents_are_told_to_come_back_at_different_times(void **state)
{
    Agents *agents = *state;
    bool seen[RETRY_AFTER_LEAST + RETRY_AFTER_SPREAD + 1] = {false};
    unsigned different = 0;

    agents->server.protocol->downloads = SERVER_POLLS_MAX;
    for (unsigned i = 0; i < 40; i++) {
        Reply reply = ask(agents, "GET /deployment/t/versions/2.0.0", NULL);
        unsigned long seconds = strtoul(header_of(&reply, "Retry-After"), NULL, 10);
        assert_int_equal(reply.status, 503);
        assert_in_range(seconds, RETRY_AFTER_LEAST, RETRY_AFTER_LEAST + RETRY_AFTER_SPREAD);
        different += !seen[seconds];
        seen[seconds] = true;
        reply_free(&reply);
    }
    assert_true(different > 5);
    assert_string_equal(agents_told(agents), "");                               /* nothing was offered */
    assert_reply(agents, "GET /deployment/t/versions/", 200, "1.0.0\n2.0.0\n"); /* the list is always told */
    agents->server.protocol->downloads = 0;
    assert_package(agents, "GET /deployment/t/versions/2.0.0", "2.0.0", NULL);
}

static void make_large(Agents *agents)
{
    AUTO_FREE char *large = malloc(LARGE);

    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 2654435761u >> 24);
    agents->items[2] = agents_bundle(agents, "c-1.0.0.jar", "t.c", "1.0.0", large, LARGE);
    agents_version(agents, "3.0.0", 3);
}

static int begin_slowly(Agents *agents)
{
    int fd = bare_connect(agents->http.address);

    bare_send(fd, "GET /deployment/t/versions/3.0.0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    fixture_until(&agents->http, agents->server.protocol->downloads == 1);
    fixture_run(&agents->http, 100000);
    assert_int_equal(agents->server.protocol->downloads, 1); /* not all went into buffers */
    return fd;
}

static void a_slow_client_gets_all_at_its_pace(void **state)
{
    Agents *agents = *state;
    size_t size;

    make_large(agents);
    AUTO_FREE char *bytes = package_bytes(agents, "t", "3.0.0", NULL, &size);
    int fd = begin_slowly(agents);
    assert_reply(agents, "GET /deployment/t/versions", 200, "1.0.0\n2.0.0\n3.0.0\n");
    Reply reply = read_reply(agents, fd);
    close(fd);
    assert_true(reply.whole);
    assert_int_equal(reply.size, size);
    assert_memory_equal(reply.body, bytes, size);
    reply_free(&reply);
    assert_int_equal(agents->server.protocol->downloads, 0);
}

static void a_client_that_leaves_costs_nothing_more(void **state)
{
    Agents *agents = *state;

    make_large(agents);
    close(begin_slowly(agents));
    fixture_until(&agents->http, agents->server.protocol->downloads == 0);
    int fd = begin_slowly(agents);
    agents_restart(agents); /* closes while it goes on */
    bare_until_closed(&agents->http, fd);
    close(fd);
    assert_int_equal(agents->server.protocol->downloads, 0);
}

static void a_package_that_cannot_be_read_to_its_end_does_not_look_whole(void **state)
{
    Agents *agents = *state;

    make_large(agents);
    int fd = begin_slowly(agents);
    AUTO_FREE char *path = blobs_path(agents->server.blobs, agents->items[2].blob.digest);
    assert_int_equal(truncate(path, LARGE / 2), 0);
    Reply reply = read_reply(agents, fd);
    close(fd);
    assert_int_equal(reply.status, 200);
    assert_false(reply.whole);
    assert_true(reply.size < LARGE);
    reply_free(&reply);
    assert_int_equal(agents->server.protocol->downloads, 0);
}

/* --- the agent's own bundle --------------------------------------------------------------------- */

static int add_agents(void *userdata, Model *model, InaError *error)
{
    static const char *const versions[] = {"10.0.0", "9.0.0"};
    const BlobInfo *blobs = userdata;

    for (size_t i = 0; i < 2; i++)
        add(model, OBJECT_ARTIFACT,
            "{'attributes': {'Bundle-SymbolicName': 'org.apache.ace.agent', 'Bundle-Version': '%s', 'sha256': '%s',"
            " 'mimetype': 'application/vnd.osgi.bundle'}, 'tags': {}}",
            versions[i], blobs[i].digest);
    return 0;
}

static void stored_agents_are_offered_to_agents(void **state)
{
    Agents *agents = *state;
    BlobInfo blobs[2];
    int64_t revision;
    InaError error = {0};

    assert_reply(agents, "GET /agent/t/org.apache.ace.agent/versions/", 200, "");
    assert_int_equal(blobs_put(agents->server.blobs, "agent ten", 9, &blobs[0], NULL), 0);
    assert_int_equal(blobs_put(agents->server.blobs, "agent nine", 10, &blobs[1], NULL), 0);
    if (repository_commit(agents->server.repository, "me", "agents", add_agents, blobs, &revision, &error) < 0)
        fail_msg("%s", error.message);
    assert_reply(agents, "GET /agent/t/org.apache.ace.agent/versions/", 200, "9.0.0\n10.0.0\n");
    assert_reply(agents, "GET /agent/t/org.apache.ace.agent/versions", 200, "9.0.0\n10.0.0\n");
    assert_reply(agents, "GET /agent/t/org.apache.ace.agent/versions/10.0.0", 200, "agent ten");
    assert_reply(agents, "GET /agent/t/org.apache.ace.agent/versions/8.0.0", 404, NULL);
    assert_reply(agents, "GET /agent/t/org.apache.felix/versions/", 400, NULL);
    assert_reply(agents, "GET /agent/t/org.apache.ace.agent/versions/1/2", 400, NULL);
    assert_reply(agents, "GET /agent/t%2f../org.apache.ace.agent/versions/", 400, NULL);
    assert_reply(agents, "GET /agent", 400, NULL);
    Reply reply = ask(agents, "GET /agent/t/org.apache.ace.agent/versions/9.0.0", "Range: bytes=6-\r\n");
    assert_int_equal(reply.status, 206);
    assert_string_equal(reply.body, "nine");
    reply_free(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(versions_are_lines_in_ascending_order, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_poll_makes_a_target_known, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_package_comes_in_chunks_with_its_type, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_fix_package_is_given_from_what_is_kept_only, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(the_size_is_told_with_a_tenth_more, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_404_what_is_malformed_400, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(another_target_than_the_caller_is_not_told_about, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_download_goes_on_at_any_offset, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(ranges_are_given_as_rfc_9110_has_them, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(beyond_the_end_means_complete, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(above_the_limit_agents_are_told_to_come_back_at_different_times, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(a_slow_client_gets_all_at_its_pace, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_leaves_costs_nothing_more, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_package_that_cannot_be_read_to_its_end_does_not_look_whole, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(stored_agents_are_offered_to_agents, set_up, agents_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
