/* agent_protocol_log.c - /auditlog, as ACE's LogServlet has it. */
#include "agent_protocol.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

/* --- telling ------------------------------------------------------------------------ */

typedef struct Answer {
    Buffer text;
    bool only_lowest; /* receiveids */
    Audit *audit;
    InaError error;
} Answer;

static void respond(InaHttpRequest *request, Answer *answer)
{
    if (answer->text.failed)
        ina_http_respond_text(request, 500, "out of memory\n");
    else
        ina_http_respond(request, 200, "text/plain", answer->text.data ? answer->text.data : "", answer->text.size);
    buffer_free(&answer->text);
}

static void add_ranges(Buffer *text, const char *target, int64_t log, const Ranges *ranges)
{
    AUTO_FREE char *formatted = ranges_format(ranges);

    if (!formatted) {
        text->failed = true;
        return;
    }
    audit_encode(text, target);
    buffer_print(text, ",%lld,", (long long)log);
    if (*formatted)
        audit_encode(text, formatted);
}

static void add_log(void *userdata, const char *target, int64_t log, const Ranges *ranges)
{
    Answer *answer = userdata;
    int64_t lowest = 0;

    if (!answer->only_lowest) {
        add_ranges(&answer->text, target, log, ranges);
    } else {
        (void)audit_lowest(answer->audit, target, log, &lowest, NULL);
        audit_encode(&answer->text, target);
        buffer_print(&answer->text, ",%lld,%lld", (long long)log, (long long)lowest);
    }
    buffer_append(&answer->text, "\n", 1);
}

static void add_event(void *userdata, const AuditEvent *event)
{
    Answer *answer = userdata;
    AUTO_FREE char *line = NULL;

    /* What does not fit is asked for again by its range. */
    if (audit_format(event, &line, NULL) < 0)
        answer->text.failed = true;
    else if (answer->text.size + strlen(line) < AUDIT_ANSWER_MAX)
        buffer_print(&answer->text, "%s\n", line);
}

static bool read_log_id(InaHttpRequest *request, int64_t *ret)
{
    const char *text = ina_http_query(request, "logid");
    Ranges id;

    *ret = 0;
    if (!text)
        return true;
    if (ranges_parse(text, strlen(text), &id, NULL) < 0)
        return false;
    bool one = id.n == 1 && id.items[0].low == id.items[0].high;
    *ret = one ? id.items[0].low : 0;
    ranges_clear(&id);
    return one;
}

/* The target that is asked about, when it may be; "" for all (people only). Answers itself when false. */
static bool may_ask(Server *server, InaHttpRequest *request, const char **ret)
{
    const char *target = ina_http_query(request, "tid");
    Account account;

    *ret = target;
    if (!target)
        return server_authorize(server, request, PERMIT_VIEW_TARGET, &account);
    if (!agent_target_valid(target)) {
        ina_http_respond_text(request, 400, "tid: a target's name is letters, digits, '.', '_' and '-'\n");
        return false;
    }
    return server_authorize_target(server, request, target);
}

static void answer_query(Server *server, InaHttpRequest *request, bool only_lowest)
{
    Answer answer = {.audit = server->audit, .only_lowest = only_lowest};
    const char *target;
    int64_t log;
    int r;

    if (!may_ask(server, request, &target))
        return;
    if (!read_log_id(request, &log)) {
        ina_http_respond_text(request, 400, "logid: a number\n");
        return;
    }
    if (target && log && !only_lowest) {
        Ranges ranges;
        r = audit_ranges(server->audit, target, log, &ranges, &answer.error);
        if (r == 0) {
            add_ranges(&answer.text, target, log, &ranges);
            ranges_clear(&ranges);
        }
    } else {
        r = audit_logs(server->audit, target, add_log, &answer, &answer.error);
    }
    if (r < 0) {
        buffer_free(&answer.text);
        server_fail(request, 500, &answer.error);
        return;
    }
    respond(request, &answer);
}

static void receive_log(void *userdata, const char *target, int64_t log, const Ranges *ranges)
{
    Answer *answer = userdata;

    (void)audit_read(answer->audit, target, log, NULL, false, 0, SIZE_MAX, add_event, answer, &answer->error);
}

static void answer_receive(Server *server, InaHttpRequest *request)
{
    const char *target, *range = ina_http_query(request, "range");
    Answer answer = {.audit = server->audit};
    Ranges ranges = {0};
    int64_t log;

    if (!may_ask(server, request, &target))
        return;
    if (!read_log_id(request, &log) || (range && ranges_parse(range, strlen(range), &ranges, &answer.error) < 0)) {
        ina_http_respond_text(request, 400, "logid: a number; range: as in 1-12,15\n");
        return;
    }
    int r = target ? audit_read(server->audit, target, log, range ? &ranges : NULL, false, 0, SIZE_MAX, add_event,
                                &answer, &answer.error)
                   : audit_logs(server->audit, NULL, receive_log, &answer, &answer.error);
    ranges_clear(&ranges);
    if (r < 0) {
        buffer_free(&answer.text);
        server_fail(request, 500, &answer.error);
        return;
    }
    respond(request, &answer);
}

/* --- taking ---------------------------------------------------------------------------- */

/* The targets that a body speaks of, each once. */
typedef struct Speakers {
    char *names[AUDIT_TARGETS_MAX];
    size_t count;
} Speakers;

static void speakers_clear(Speakers *speakers)
{
    for (size_t i = 0; i < speakers->count; i++)
        free(speakers->names[i]);
}

/* -EINVAL: more than are taken. Lines without a target are for whoever reads them closely. */
static int add_speaker(Speakers *speakers, const char *line, size_t size)
{
    const char *comma = memchr(line, ',', size);
    size_t length = comma ? (size_t)(comma - line) : 0;

    for (size_t i = 0; i < speakers->count; i++)
        if (strlen(speakers->names[i]) == length && memcmp(speakers->names[i], line, length) == 0)
            return 0;
    if (length == 0)
        return 0;
    if (speakers->count >= AUDIT_TARGETS_MAX)
        return -EINVAL;
    char *name = strndup(line, length);
    if (!name)
        return -ENOMEM;
    speakers->names[speakers->count++] = name;
    return 0;
}

/* Whether the caller may speak for all that the body speaks of; answers itself when not. A name with an escape in it
 * is no target's. */
static bool may_speak(Server *server, InaHttpRequest *request, const char *body, size_t size, Speakers *speakers)
{
    for (const char *line = body, *end = body + size; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        if (add_speaker(speakers, line, length) < 0) {
            ina_http_respond_text(request, 400, "more than %u targets in one body\n", AUDIT_TARGETS_MAX);
            return false;
        }
        line += length + 1;
    }
    for (size_t i = 0; i < speakers->count; i++) {
        if (!agent_target_valid(speakers->names[i])) {
            ina_http_respond_text(request, 400, "a target's name is letters, digits, '.', '_' and '-'\n");
            return false;
        }
        if (!server_authorize_target(server, request, speakers->names[i]))
            return false;
    }
    return true;
}

static void answer_send(Server *server, InaHttpRequest *request, const char *body, size_t size)
{
    AgentProtocol *protocol = server->protocol;
    Speakers speakers = {0};
    InaError error = {0};
    size_t stored;
    int r = 0;

    if (!may_speak(server, request, body, size, &speakers)) {
        speakers_clear(&speakers);
        return;
    }
    /* The disk is for what people store, too. */
    if (size > 0 && database_size(server->database) > protocol->database_max) {
        speakers_clear(&speakers);
        ina_http_set_header(request, "Retry-After", "60");
        ina_http_respond_text(request, 503,
                              "the database has more than %lld MiB: no events are taken until logs are trimmed "
                              "(/auditlog/sendids) or targets forgotten\n",
                              (long long)(protocol->database_max >> 20));
        return;
    }
    /* Registration from events; and what was before is known before what is new is told. */
    for (size_t i = 0; r == 0 && i < speakers.count; i++) {
        r = targets_seen(server->targets, speakers.names[i], &error);
        if (r == 0)
            (void)agent_state(protocol, speakers.names[i]);
    }
    speakers_clear(&speakers);
    protocol->storing = true;
    if (r == 0)
        r = audit_store_lines(server->audit, body, size, &stored, &error);
    protocol->storing = false;
    if (r == -EINVAL || r == -EFBIG)
        ina_http_respond_text(request, r == -EFBIG ? 413 : 400, "%s\n", error.message);
    else if (r < 0)
        server_fail(request, 0, &error);
    else
        ina_http_respond(request, 200, "text/plain", "", 0);
}

/* "T,L,lowest" */
static int trim_line(Audit *audit, const char *line, size_t size, InaError *error)
{
    AuditEvent event;
    char *text;

    /* An event's first three columns. */
    if (asprintf(&text, "%.*s,0,0", (int)size, line) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = audit_parse(text, strlen(text), &event, error);
    free(text);
    if (r < 0)
        return r;
    r = event.n_entries > 0 ? ina_error_set(error, EINVAL, "right would be TARGET,LOG,LOWEST")
                            : audit_trim(audit, event.target, event.log, event.sequence, error);
    audit_event_clear(&event);
    return r;
}

static void answer_sendids(Server *server, InaHttpRequest *request, const char *body, size_t size)
{
    Speakers speakers = {0};
    InaError error = {0};
    int r = 0;

    bool may = may_speak(server, request, body, size, &speakers);
    speakers_clear(&speakers);
    if (!may)
        return;
    for (const char *line = body, *end = body + size; r == 0 && line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((stop ? stop : end) - line);
        if (length > 0)
            r = length > AUDIT_LINE_MAX ? ina_error_set(&error, EINVAL, "a line is too long")
                                        : trim_line(server->audit, line, length, &error);
        line += length + 1;
    }
    if (r == -EINVAL)
        ina_http_respond_text(request, 400, "%s\n", error.message);
    else if (r < 0)
        server_fail(request, 500, &error);
    else
        ina_http_respond(request, 200, "text/plain", "", 0);
}

/* --- all ------------------------------------------------------------------------------------ */

static void take_body(Server *server, InaHttpRequest *request,
                      void (*take)(Server *server, InaHttpRequest *request, const char *body, size_t size))
{
    size_t size;
    const char *body = ina_http_body(request, &size);

    if (size > AUDIT_BODY_MAX)
        ina_http_respond_text(request, 413, "at most %u bytes\n", AUDIT_BODY_MAX);
    else
        take(server, request, body, size);
}

void serve_audit(Server *server, InaHttpRequest *request)
{
    const char *path = ina_http_path(request) + strlen("/auditlog");
    bool post = strcmp(ina_http_method(request), "POST") == 0;
    bool takes = strcmp(path, "/send") == 0 || strcmp(path, "/sendids") == 0;
    bool tells = strcmp(path, "/query") == 0 || strcmp(path, "/receive") == 0 || strcmp(path, "/receiveids") == 0;

    if (!takes && !tells) {
        ina_http_respond_text(request, 404, "there are query, send, receive, sendids and receiveids\n");
    } else if (takes != post) {
        ina_http_set_header(request, "Allow", takes ? "POST" : "GET, HEAD");
        ina_http_respond_text(request, 405, "right would be %s\n", takes ? "POST" : "GET");
    } else if (takes) {
        take_body(server, request, strcmp(path, "/send") == 0 ? answer_send : answer_sendids);
    } else if (send_reading(request)) {
        if (strcmp(path, "/receive") == 0)
            answer_receive(server, request);
        else
            answer_query(server, request, strcmp(path, "/receiveids") == 0);
    }
}
