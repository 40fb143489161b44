/* /auditlog, and what the server understands of agents: captured conversations replayed. */
#include "agent_fixture.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "tests/provisioning/model_test.h"
#include <string.h>
#include <unistd.h>

static int set_up(void **state)
{
    agents_set_up(state);
    Agents *agents = *state;
    agents->items[0] = agents_bundle(agents, "a-1.0.0.jar", "t.a", "1.0.0", "body of a", 9);
    agents->items[1] = agents_bundle(agents, "b-1.1.0.jar", "t.b", "1.1.0", "body of b", 9);
    agents_version(agents, "1.0.0", 1);
    return 0;
}

static void sent(Agents *agents, const char *lines)
{
    Reply reply = post(agents, "/auditlog/send", lines);

    if (reply.status != 200)
        fail_msg("%d %s", reply.status, reply.body);
    assert_int_equal(reply.size, 0);
    reply_free(&reply);
}

static void assert_post(Agents *agents, const char *path, const char *lines, int status)
{
    Reply reply = post(agents, path, lines);

    if (reply.status != status)
        fail_msg("%s: %d %s", path, reply.status, reply.body);
    reply_free(&reply);
}

/* --- captured conversations -------------------------------------------------------------- */

/* Without User-Agent, as libcurl in Celix' agent sends it. */
static void celix_poll(Agents *agents, const char *list)
{
    Reply reply = ask(agents, "GET /deployment/celix-1/versions", "Accept: */*\r\n");

    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, list);
    reply_free(&reply);
}

static void celix_fetch(Agents *agents, const char *version)
{
    char line[100];

    (void)snprintf(line, sizeof line, "GET /deployment/celix-1/versions/%s", version);
    Reply reply = ask(agents, line, "Accept: */*\r\n");
    assert_int_equal(reply.status, 200);
    assert_true(reply.whole);
    assert_memory_equal(reply.body, "PK\3\4", 4);
    reply_free(&reply);
}

static void the_conversation_of_celix_leads_to_an_installed_version(void **state)
{
    Agents *agents = *state;

    sent(agents, "celix-1,1795335922722350,0,0,1005\n");
    assert_string_equal(agents_told(agents), "seen celix-1\n");
    sent(agents, "celix-1,1795335922722350,1,0,4001,type,celix,site,lab\n");
    assert_string_equal(agents_told(agents),
                        "seen celix-1\nproperties celix-1 {\"site\":\"lab\",\"type\":\"celix\"}\n");
    celix_poll(agents, "1.0.0\n");
    celix_fetch(agents, "1.0.0");
    assert_string_equal(agents_told(agents), "seen celix-1\noffered celix-1 1.0.0\n");
    celix_poll(agents, "1.0.0\n");
    assert_string_equal(agents_told(agents), "seen celix-1\n"); /* it might fetch again now */
    celix_poll(agents, "1.0.0\n");
    assert_string_equal(agents_told(agents),
                        "seen celix-1\ninstalled celix-1 1.0.0\nhealth celix-1 1.0.0 ready errors=0\n");
    celix_poll(agents, "1.0.0\n");
    assert_string_equal(agents_told(agents), "seen celix-1\nhealth celix-1 1.0.0 ready errors=0\n");
}

static void a_celix_agent_that_fetches_again_and_again_has_not_installed(void **state)
{
    Agents *agents = *state;

    for (unsigned i = 0; i < 5; i++) {
        celix_poll(agents, "1.0.0\n");
        celix_fetch(agents, "1.0.0");
    }
    celix_poll(agents, "1.0.0\n");
    assert_null(strstr(agents_told(agents), "installed"));
}

static void a_celix_agent_that_is_sent_away_when_it_fetches_has_not_installed(void **state)
{
    Agents *agents = *state;

    celix_poll(agents, "1.0.0\n");
    celix_fetch(agents, "1.0.0");
    celix_poll(agents, "1.0.0\n");
    agents->server.protocol->downloads = SERVER_POLLS_MAX;
    Reply reply = ask(agents, "GET /deployment/celix-1/versions/1.0.0", "Accept: */*\r\n");
    assert_int_equal(reply.status, 503);
    reply_free(&reply);
    agents->server.protocol->downloads = 0;
    celix_poll(agents, "1.0.0\n");
    celix_poll(agents, "1.0.0\n");
    assert_null(strstr(agents_told(agents), "installed"));
    celix_fetch(agents, "1.0.0");
    celix_poll(agents, "1.0.0\n");
    celix_poll(agents, "1.0.0\n");
    assert_non_null(strstr(agents_told(agents), "installed celix-1 1.0.0"));
}

static Reply java(Agents *agents, const char *line)
{
    return ask(agents, line, "User-Agent: Java/17.0.1\r\nAccept: text/html, image/gif, *; q=.2\r\n");
}

static void poll_as_java(Agents *agents)
{
    Reply reply = java(agents, "GET /deployment/jt-1/versions/");

    assert_int_equal(reply.status, 200);
    reply_free(&reply);
}

#define JAVA_LOG "jt-1,1795336307063,"
#define JAVA_FIRST                                                                                                     \
    JAVA_LOG "1,1795336309000,1005\n" JAVA_LOG "2,1795336309100,4001,site,lab\n" JAVA_LOG                              \
             "3,1795336309295,2001,name,jt-1\n" JAVA_LOG                                                               \
             "4,1795336309314,1,name,t.a,location,osgi-dp:t.a,id,2,version,1.0.0\n"
#define JAVA_SECOND                                                                                                    \
    JAVA_LOG "5,1795336309315,2000\n" JAVA_LOG "6,1795336309316,2,id,2\n" JAVA_LOG "7,1795336309320,8,id,2\n" JAVA_LOG \
             "8,1795336309327,3,id,2\n" JAVA_LOG "9,1795336309328,1004\n" JAVA_LOG                                     \
             "10,1795336309329,1001,msg,all is well\n" JAVA_LOG                                                        \
             "11,1795336309330,2003,success,true,name,jt-1,version,1.0.0\n" JAVA_LOG "12,1795336309331,1001\n"

/* The agent opens the POST before it asks what to send, and finishes it afterwards. */
static void the_conversation_of_the_ace_agent_with_its_post_opened_first(void **state)
{
    Agents *agents = *state;
    int fd = bare_connect(agents->http.address);
    char chunk[4096];

    Reply reply = java(agents, "GET /deployment/jt-1/versions/1.0.0?current=0.0.0");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_string_equal(agents_told(agents), "offered jt-1 1.0.0\n");

    bare_send(fd, "POST /auditlog/send HTTP/1.1\r\nHost: a\r\nUser-Agent: Java/17.0.1\r\nConnection: close\r\n"
                  "Transfer-Encoding: chunked\r\nContent-type: application/x-www-form-urlencoded\r\n\r\n");
    fixture_run(&agents->http, 20000);
    reply = java(agents, "GET /auditlog/query?tid=jt-1&logid=1795336307063");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "jt-1,1795336307063,");
    reply_free(&reply);
    (void)snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", strlen(JAVA_FIRST), JAVA_FIRST);
    bare_send(fd, chunk);
    reply = java(agents, "GET /auditlog/query?tid=jt-1&logid=1795336307063"); /* nothing of half a body */
    assert_string_equal(reply.body, "jt-1,1795336307063,");
    reply_free(&reply);
    (void)snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n0\r\n\r\n", strlen(JAVA_SECOND), JAVA_SECOND);
    bare_send(fd, chunk);
    reply = read_reply(agents, fd);
    close(fd);
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.size, 0);
    reply_free(&reply);

    reply = java(agents, "GET /auditlog/query?tid=jt-1&logid=1795336307063");
    assert_string_equal(reply.body, "jt-1,1795336307063,1-12");
    assert_string_equal(header_of(&reply, "Content-Type"), "text/plain");
    reply_free(&reply);
    assert_string_equal(agents_told(agents), "seen jt-1\nproperties jt-1 {\"site\":\"lab\"}\ninstalled jt-1 1.0.0\n"
                                             "health jt-1 1.0.0 ready errors=0\n");
}

static void a_database_that_is_full_takes_no_events_but_can_be_trimmed(void **state)
{
    Agents *agents = *state;
    int64_t before = agents->server.protocol->database_max;

    sent(agents, "t,5,1,0,1005\nt,5,2,0,1005\n");
    agents->server.protocol->database_max = 1;
    Reply reply = post(agents, "/auditlog/send", "t,5,3,0,1005\n");
    assert_int_equal(reply.status, 503);
    assert_string_equal(header_of(&reply, "Retry-After"), "60");
    reply_free(&reply);
    sent(agents, ""); /* says nothing */
    assert_post(agents, "/auditlog/sendids", "t,5,2\n", 200);
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=5", 200, "t,5,1-2");
    agents->server.protocol->database_max = before;
    sent(agents, "t,5,3,0,1005\n");
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=5", 200, "t,5,1-3");
}

static void half_a_body_leaves_nothing(void **state)
{
    Agents *agents = *state;
    int fd = bare_connect(agents->http.address);

    bare_send(fd, "POST /auditlog/send HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nt,1,1,0,1005\n");
    fixture_run(&agents->http, 20000);
    close(fd);
    fixture_run(&agents->http, 20000);
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=1", 200, "t,1,");
    assert_string_equal(agents_told(agents), "");
}

/* --- the log ------------------------------------------------------------------------------- */

static void replayed_bodies_are_stored_once_and_empty_ones_are_taken(void **state)
{
    Agents *agents = *state;

    sent(agents, "");
    sent(agents, "t,7,1,5,3,id,2\nt,7,2,5,3,id,3\nt,7,5,5,3,id,4\n");
    sent(agents, "t,7,1,5,3,id,2\nt,7,2,5,3,id,3\nt,7,5,5,3,id,4\n");
    sent(agents, "t,9,1,5,1005\nu.v_w-x,1,0,0,1005\n");
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=7", 200, "t,7,1-2$k5");
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=8", 200, "t,8,");
    assert_reply(agents, "GET /auditlog/query?tid=x&logid=8", 200, "x,8,");
    assert_reply(agents, "GET /auditlog/query?tid=t", 200, "t,7,1-2$k5\nt,9,1\n");
    assert_reply(agents, "GET /auditlog/query", 200, "t,7,1-2$k5\nt,9,1\nu.v_w-x,1,0\n");
    assert_reply(agents, "GET /auditlog/receive?tid=t&logid=7&range=2-9", 200, "t,7,2,5,3,id,3\nt,7,5,5,3,id,4\n");
    assert_reply(agents, "GET /auditlog/receive?tid=t", 200,
                 "t,7,1,5,3,id,2\nt,7,2,5,3,id,3\nt,7,5,5,3,id,4\nt,9,1,5,1005\n");
    assert_reply(agents, "GET /auditlog/receive", 200,
                 "t,7,1,5,3,id,2\nt,7,2,5,3,id,3\nt,7,5,5,3,id,4\nt,9,1,5,1005\nu.v_w-x,1,0,0,1005\n");
}

static void a_log_survives_a_restart_of_the_server(void **state)
{
    Agents *agents = *state;

    sent(agents, "t,7,1,5,3,id,2\nt,7,3,5,3,id,3\n");
    agents_restart(agents);
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=7", 200, "t,7,1$k3");
}

static void good_lines_of_a_bad_body_are_kept(void **state)
{
    Agents *agents = *state;

    assert_post(agents, "/auditlog/send", "t,7,1,5,3\nt,7,x,5,3\nt,7,3,5,3\n", 400);
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=7", 200, "t,7,1$k3");
}

static void lowest_ids_trim_a_log(void **state)
{
    Agents *agents = *state;

    sent(agents, "t,7,1,5,3\nt,7,2,5,3\nt,7,3,5,3\nt,9,1,5,3\n");
    assert_post(agents, "/auditlog/sendids", "t,7,3\n", 200);
    assert_reply(agents, "GET /auditlog/receiveids?tid=t", 200, "t,7,3\nt,9,0\n");
    assert_reply(agents, "GET /auditlog/query?tid=t&logid=7", 200, "t,7,1-3");
    assert_reply(agents, "GET /auditlog/receive?tid=t&logid=7", 200, "t,7,3,5,3\n");
    assert_post(agents, "/auditlog/sendids", "t,7\n", 400);
    assert_post(agents, "/auditlog/sendids", "t,7,3,4\n", 400);
    assert_post(agents, "/auditlog/sendids", "t,7,x\n", 400);
}

static void nobody_speaks_for_or_asks_about_another(void **state)
{
    Agents *agents = *state;

    sent(agents, "u,7,1,5,3\n");
    (void)agents_told(agents);
    agents->forbidden = "u";
    assert_post(agents, "/auditlog/send", "u,7,2,5,3\n", 403);
    assert_post(agents, "/auditlog/send", "t,7,1,5,3\nu,7,2,5,3\n", 403);
    assert_post(agents, "/auditlog/sendids", "u,7,2\n", 403);
    assert_reply(agents, "GET /auditlog/query?tid=u&logid=7", 403, NULL);
    assert_reply(agents, "GET /auditlog/receive?tid=u", 403, NULL);
    assert_reply(agents, "GET /auditlog/query", 401, NULL);
    assert_string_equal(agents_told(agents), "");
    agents->forbidden = NULL;
    assert_reply(agents, "GET /auditlog/query", 200, "u,7,1\n");
}

static void hostile_bodies_and_questions_are_refused(void **state)
{
    static const char *const questions[] = {
        "/auditlog/query?tid=../t&logid=1",  "/auditlog/query?tid=&logid=1",   "/auditlog/query?tid=t&logid=x",
        "/auditlog/query?tid=t&logid=1-2",   "/auditlog/query?tid=t&logid=-1", "/auditlog/receive?tid=t&range=1;2",
        "/auditlog/receive?tid=t&range=9-1", "/auditlog/query?tid=a%0ab",
    };
    Agents *agents = *state;
    Buffer body = {0};
    char line[300];

    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        (void)snprintf(line, sizeof line, "GET %s", questions[i]);
        assert_reply(agents, line, 400, NULL);
    }
    assert_post(agents, "/auditlog/send", "../t,7,1,5,3\n", 400);
    assert_post(agents, "/auditlog/send", "a$kb,7,1,5,3\n", 400);
    assert_post(agents, "/auditlog/send", "..,7,1,5,3\n", 400);
    assert_post(agents, "/auditlog/send", "no event\n", 400);
    for (unsigned i = 0; i <= AUDIT_TARGETS_MAX; i++)
        buffer_print(&body, "t%u,7,1,5,3\n", i);
    assert_post(agents, "/auditlog/send", body.data, 400);
    assert_string_equal(agents_told(agents), "");
    assert_reply(agents, "GET /auditlog/query", 200, "");
    buffer_clear(&body);
    while (body.size <= AUDIT_BODY_MAX)
        buffer_print(&body, "t,7,%zu,5,1001,msg,%0999d\n", body.size, 0);
    assert_post(agents, "/auditlog/send", body.data, 413);
    assert_reply(agents, "GET /auditlog/query", 200, "");
    buffer_free(&body);
    assert_reply(agents, "GET /auditlog", 404, NULL);
    assert_reply(agents, "GET /auditlog/send", 405, NULL);
    assert_post(agents, "/auditlog/query", "", 405);
}

/* --- what is understood ------------------------------------------------------------------------ */

static void fetch_as_java(Agents *agents, const char *version)
{
    char line[100];

    (void)snprintf(line, sizeof line, "GET /deployment/jt-1/versions/%s", version);
    Reply reply = java(agents, line);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    (void)agents_told(agents);
}

static void a_failure_is_of_the_version_that_was_fetched_not_of_the_one_it_names(void **state)
{
    Agents *agents = *state;

    agents_version(agents, "2.0.0", 1);
    fetch_as_java(agents, "2.0.0");
    sent(agents, JAVA_LOG "1,1,2003,success,false,name,jt-1,version,1.0.0\n");
    assert_string_equal(agents_told(agents),
                        "seen jt-1\nfailed jt-1 2.0.0: the agent could not install 2.0.0; version 1.0.0 still runs\n");
    sent(agents, JAVA_LOG "1,1,2003,success,false,name,jt-1,version,1.0.0\n"); /* repeated */
    assert_string_equal(agents_told(agents), "seen jt-1\n");
}

static void a_failure_is_attributed_after_a_restart_of_the_server_too(void **state)
{
    Agents *agents = *state;

    agents_version(agents, "2.0.0", 1);
    fetch_as_java(agents, "2.0.0");
    agents_restart(agents);
    sent(agents, JAVA_LOG "1,1,2003,success,false,name,jt-1,version,1.0.0\n");
    assert_non_null(strstr(agents_told(agents), "failed jt-1 2.0.0"));
}

static void note_line(void *userdata, InaLogLevel level, const char *line)
{
    char *lines = userdata;
    size_t used = strlen(lines);

    if (level == INA_LOG_WARNING)
        snprintf(lines + used, 4096 - used, "%s\n", line);
}

static void a_failure_of_a_version_that_is_not_kept_any_more_is_in_the_log(void **state)
{
    Agents *agents = *state;
    char lines[4096] = "";

    agents_version(agents, "5.0.0", 1);
    log_set_observer(note_line, lines);
    sent(agents, JAVA_LOG "1,1,2003,success,false,name,jt-1,version,3.0.0\n");
    log_set_observer(NULL, NULL);
    assert_non_null(strstr(lines, "a deployment failed"));
    assert_non_null(strstr(lines, "target=jt-1 runs=3.0.0"));
    assert_null(strstr(agents_told(agents), "failed"));
}

static void events_of_versions_that_are_not_known_here_only_raise_what_is_counted_from(void **state)
{
    Agents *agents = *state;

    /* The whole log of an agent, told to a server that began anew. */
    sent(agents, JAVA_LOG "1,1,2003,name,jt-1,version,7.0.0,success,true\n" JAVA_LOG
                          "2,1,2003,success,false,name,jt-1,version,7.0.0\n" JAVA_LOG
                          "3,1,2003,success,false,name,somebody,version,9.0.0\n");
    assert_string_equal(agents_told(agents), "seen jt-1\ncounts on jt-1 7.0.0\ncounts on jt-1 7.0.0\n");
    /* What it was offered here is judged, whatever runs. */
    fetch_as_java(agents, "1.0.0");
    sent(agents, JAVA_LOG "4,1,2003,success,false,name,jt-1,version,7.0.0\n");
    assert_non_null(strstr(agents_told(agents), "failed jt-1 1.0.0"));
}

static void a_package_that_did_not_arrive_is_repeated_as_a_new_version(void **state)
{
    Agents *agents = *state;

    fetch_as_java(agents, "1.0.0");
    sent(agents, JAVA_LOG "1,1,2003,success,false,name,$e,version,0.0.0\n");
    assert_string_equal(agents_told(agents), "seen jt-1\nrepeated jt-1 1.0.0\n");
    agents->exhausted = true;
    sent(agents, JAVA_LOG "2,1,2003,success,false,name,$e,version,0.0.0\n");
    assert_string_equal(agents_told(agents),
                        "seen jt-1\nrepeated jt-1 1.0.0\n"
                        "failed jt-1 1.0.0: version 1.0.0 did not arrive whole, again and again\n");
}

static void an_agent_that_was_told_to_come_back_does_so_itself(void **state)
{
    Agents *agents = *state;

    agents->server.protocol->downloads = SERVER_POLLS_MAX;
    Reply reply = java(agents, "GET /deployment/jt-1/versions/1.0.0");
    assert_int_equal(reply.status, 503);
    reply_free(&reply);
    agents->server.protocol->downloads = 0;
    sent(agents, JAVA_LOG "1,1,2003,success,false,name,$e,version,0.0.0\n");
    assert_string_equal(agents_told(agents), "seen jt-1\n");
}

static void verdicts_on_what_is_not_ours_are_passed_over(void **state)
{
    Agents *agents = *state;

    fetch_as_java(agents, "1.0.0");
    sent(agents, JAVA_LOG "2,1,2003,success,true,name,somebody.elses,version,1.0.0\n");
    sent(agents, JAVA_LOG "3,1,2003,success,true,name,jt-1,version,77.0.0\n"); /* which was never made */
    sent(agents, JAVA_LOG "4,1,2003\n");
    assert_string_equal(agents_told(agents), "seen jt-1\nseen jt-1\ncounts on jt-1 77.0.0\nseen jt-1\n");
}

static void success_does_not_hide_a_bundle_that_did_not_start(void **state)
{
    Agents *agents = *state;

    agents_version(agents, "2.0.0", 2);
    fetch_as_java(agents, "2.0.0");
    sent(agents, JAVA_LOG "1,1,2001,name,jt-1\n" JAVA_LOG "2,1,1,name,t.a,id,2,version,1.0.0\n" JAVA_LOG
                          "3,1,1,name,t.b,id,3,version,1.1.0\n" JAVA_LOG "4,1,3,id,2\n" JAVA_LOG
                          "5,1,1003,id,3,msg,boom,type,java.lang.RuntimeException\n" JAVA_LOG
                          "6,1,2003,success,true,name,jt-1,version,2.0.0\n");
    assert_string_equal(agents_told(agents), "seen jt-1\ninstalled jt-1 2.0.0\n"
                                             "health jt-1 2.0.0 not ready errors=1: bundle t.b is not started\n");
    sent(agents, JAVA_LOG "7,1,3,id,3\n");
    assert_string_equal(agents_told(agents), "seen jt-1\nhealth jt-1 2.0.0 ready errors=1\n");
    sent(agents, JAVA_LOG "8,1,4,id,2\n");
    assert_string_equal(agents_told(agents),
                        "seen jt-1\nhealth jt-1 2.0.0 not ready errors=1: bundle t.a is not started\n");
    sent(agents, JAVA_LOG "9,1,7,id,2\n" JAVA_LOG "10,1,1003,msg,again\n");
    assert_non_null(strstr(agents_told(agents), "errors=2: bundle t.a is not started"));
    poll_as_java(agents);
    assert_non_null(strstr(agents_told(agents), "errors=2: bundle t.a is not started"));
}

static int add_fragment(void *userdata, Model *model, InaError *error)
{
    add(model, OBJECT_ARTIFACT,
        "{'attributes': {'Bundle-SymbolicName': 't.b', 'Bundle-Version': '1.1.0', 'fragmentHost': 't.a',"
        " 'mimetype': 'application/vnd.osgi.bundle'}, 'tags': {}}");
    return 0;
}

static void a_fragment_is_never_started_and_no_harm(void **state)
{
    Agents *agents = *state;
    int64_t revision;

    assert_int_equal(
        repository_commit(agents->server.repository, "me", "fragment", add_fragment, NULL, &revision, NULL), 0);
    agents_version(agents, "2.0.0", 2);
    sent(agents,
         JAVA_LOG "1,1,2001,name,jt-1\n" JAVA_LOG "2,1,1,name,t.a,id,2\n" JAVA_LOG "3,1,1,name,t.b,id,3\n" JAVA_LOG
                  "4,1,3,id,2\n" JAVA_LOG "5,1,2003,success,true,name,jt-1,version,2.0.0\n");
    assert_non_null(strstr(agents_told(agents), "health jt-1 2.0.0 ready"));
}

static void what_bundles_do_is_known_after_a_restart_of_the_server(void **state)
{
    Agents *agents = *state;

    sent(agents, JAVA_LOG "1,1,2001,name,jt-1\n" JAVA_LOG "2,1,1,name,t.a,id,2\n" JAVA_LOG "3,1,3,id,2\n" JAVA_LOG
                          "4,1,2003,success,true,name,jt-1,version,1.0.0\n");
    agents_restart(agents);
    (void)agents_told(agents);
    poll_as_java(agents);
    assert_string_equal(agents_told(agents), "seen jt-1\nhealth jt-1 1.0.0 ready errors=0\n");
    sent(agents, JAVA_LOG "5,1,4,id,2\n");
    assert_non_null(strstr(agents_told(agents), "not ready errors=0: bundle t.a is not started"));
}

static void an_agent_that_speaks_for_itself_is_not_guessed_about(void **state)
{
    Agents *agents = *state;

    agents->modern = true;
    sent(agents, JAVA_LOG "1,1,2001,name,jt-1\n" JAVA_LOG "2,1,2003,success,true,name,jt-1,version,1.0.0\n");
    assert_string_equal(agents_told(agents), "seen jt-1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_conversation_of_celix_leads_to_an_installed_version, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(a_celix_agent_that_fetches_again_and_again_has_not_installed, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(a_celix_agent_that_is_sent_away_when_it_fetches_has_not_installed, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(the_conversation_of_the_ace_agent_with_its_post_opened_first, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(a_database_that_is_full_takes_no_events_but_can_be_trimmed, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(half_a_body_leaves_nothing, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(replayed_bodies_are_stored_once_and_empty_ones_are_taken, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(a_log_survives_a_restart_of_the_server, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(good_lines_of_a_bad_body_are_kept, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(lowest_ids_trim_a_log, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(nobody_speaks_for_or_asks_about_another, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(hostile_bodies_and_questions_are_refused, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_failure_is_of_the_version_that_was_fetched_not_of_the_one_it_names, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(a_failure_is_attributed_after_a_restart_of_the_server_too, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(a_failure_of_a_version_that_is_not_kept_any_more_is_in_the_log, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(events_of_versions_that_are_not_known_here_only_raise_what_is_counted_from,
                                        set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_package_that_did_not_arrive_is_repeated_as_a_new_version, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(an_agent_that_was_told_to_come_back_does_so_itself, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(verdicts_on_what_is_not_ours_are_passed_over, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(success_does_not_hide_a_bundle_that_did_not_start, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(a_fragment_is_never_started_and_no_harm, set_up, agents_tear_down),
        cmocka_unit_test_setup_teardown(what_bundles_do_is_known_after_a_restart_of_the_server, set_up,
                                        agents_tear_down),
        cmocka_unit_test_setup_teardown(an_agent_that_speaks_for_itself_is_not_guessed_about, set_up, agents_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
