/* api_committed.c - answers that wait until it is known what a commit, or a person who begins a rollout, has begun.
 *
 * With many targets that are unlike each other that takes seconds. The server goes on meanwhile; only who asked waits.
 */
#include "api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Waiting {
    Server *server;
    InaHttpRequest *request;
    int64_t revision;
    json_t *more; /* what a commit answers besides */
    bool begin;   /* by a person */
    bool has_policy, force;
    RolloutPolicy policy;
    char author[REPOSITORY_AUTHOR_MAX + 1];
} Waiting;

static void waiting_free(Waiting *waiting)
{
    json_decref(waiting->more);
    free(waiting);
}

static void on_left(void *userdata)
{
    Waiting *waiting = userdata;
    InaHttpRequest *request = waiting->request;
    rollouts_forget(waiting->server->rollouts, waiting);
    waiting_free(waiting);
    ina_http_respond(request, 503, NULL, NULL, 0); /* to nobody */
}

/* Its revision, and the rollout that it began. */
static json_t *committed(Server *server, int64_t revision)
{
    AUTO_JSON json_t *list = rollouts_list(server->rollouts, 1);
    const json_t *newest = json_array_get(list, 0);
    json_t *id = json_object_get(newest, "id");
    bool began = id && json_integer_value(json_object_get(newest, "to")) == revision;
    return json_pack("{s:I, s:O}", "revision", (json_int_t)revision, "rollout", began ? id : json_null());
}

static void answer_begun(const Waiting *waiting)
{
    int64_t rollout;
    InaError error = {0};
    if (rollouts_start(waiting->server->rollouts, waiting->revision, waiting->has_policy ? &waiting->policy : NULL,
                       waiting->force, waiting->author, &rollout, &error) < 0)
        server_fail(waiting->request, 0, &error);
    else
        server_json(waiting->request, 201, rollouts_get(waiting->server->rollouts, rollout));
}

static void on_ready(void *userdata)
{
    Waiting *waiting = userdata;
    if (waiting->begin) {
        answer_begun(waiting);
    } else {
        json_t *value = committed(waiting->server, waiting->revision);
        json_object_update(value, waiting->more);
        server_json(waiting->request, 200, value);
    }
    waiting_free(waiting);
}

static void wait_or_answer(const Waiting *what)
{
    Waiting *waiting = malloc(sizeof(*waiting));
    if (!waiting) {
        json_decref(what->more);
        server_fail_text(what->request, 503, ENOMEM, what->begin ? "no memory" : "no memory; but it is stored");
        return;
    }
    *waiting = *what;
    if (rollouts_await(what->server->rollouts, what->revision, what->begin, on_ready, waiting))
        on_ready(waiting);
    else
        ina_http_on_cancel(what->request, on_left, waiting);
}

void server_answer_committed(Server *server, InaHttpRequest *request, int64_t revision, json_t *more)
{
    wait_or_answer(
        &(Waiting){.server = server, .request = request, .revision = revision, .more = more ? more : json_object()});
}

void server_answer_begun(Server *server, InaHttpRequest *request, int64_t revision, const RolloutPolicy *policy,
                         bool force, const char *author)
{
    Waiting waiting = {.server = server, .request = request, .revision = revision, .begin = true, .force = force};
    waiting.has_policy = policy != NULL;
    if (policy)
        waiting.policy = *policy;
    snprintf(waiting.author, sizeof(waiting.author), "%s", author);
    wait_or_answer(&waiting);
}
