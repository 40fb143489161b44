/* api_fixture.c - an API over the fake store. */
#include "api_fixture.h"

#define TURN_US 200000 /* a timer further away than this is not waited for */

const char simple_pod[] = "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','labels':{'app':'a'}},"
                          "'spec':{'containers':[{'name':'c','image':'i'}]}}";
const char simple_rc[] = "{'apiVersion':'v1','kind':'ReplicationController','metadata':{'name':'rc'},'spec':{"
                         "'replicas':2,'selector':{'app':'a'},'template':{'metadata':{'labels':{'app':'a'}},'spec':{"
                         "'containers':[{'name':'c','image':'i'}]}}}}";

void turn(Fixture *fixture)
{
    while (sd_event_run(fixture->event, TURN_US) > 0)
        ;
}

int fixture_setup(void **state)
{
    Fixture *fixture = calloc(1, sizeof *fixture);
    *state = fixture;
    if (sd_event_new(&fixture->event) < 0)
        return -1;
    fixture->store = fake_store_new(fixture->event);
    ApiOptions options = {.event = fixture->event,
                          .store = fixture->store,
                          .service_prefix = "127.3.",
                          .cluster_ip = "127.3.0.1",
                          .address = "127.17.8.20:10260",
                          .authenticator = (const Authenticator *)fixture};
    if (api_new(&options, &fixture->api, NULL) < 0)
        return -1;
    while (!store_get(fixture->store, "endpoints", "default", "kubernetes"))
        if (sd_event_run(fixture->event, UINT64_MAX) < 0)
            return -1;
    turn(fixture);
    return 0;
}

int fixture_teardown(void **state)
{
    Fixture *fixture = *state;
    api_free(fixture->api);
    store_free(fixture->store);
    sd_event_unref(fixture->event);
    json_decref(fixture->object);
    json_decref(fixture->warnings);
    free(fixture);
    return 0;
}

static void on_answer(void *userdata, const ApiAnswer *answer)
{
    Fixture *fixture = userdata;
    json_decref(fixture->object);
    json_decref(fixture->warnings);
    fixture->status = answer->status;
    fixture->object = json_incref((json_t *)answer->object);
    fixture->warnings = json_incref((json_t *)answer->warnings);
    fixture->answers++;
}

int submit(Fixture *fixture, ApiRequest request)
{
    static const ApiUser admin = {.role = ROLE_ADMIN, .name = "admin"};
    unsigned before = fixture->answers;
    if (!request.user)
        request.user = &admin;
    api_submit(fixture->api, &request, on_answer, fixture);
    assert_int_equal(fixture->answers, before);
    while (fixture->answers == before)
        assert_true(sd_event_run(fixture->event, UINT64_MAX) >= 0);
    return fixture->status;
}

json_t *json_of(const char *text)
{
    AUTO_FREE char *copy = strdup(text);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_error_t error;
    json_t *value = json_loads(copy, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s", error.text, copy);
    return value;
}

static int with_body(Fixture *fixture, ApiRequest request, const char *key, const char *namespace, const char *name,
                     const char *body)
{
    AUTO_JSON json_t *value = body ? json_of(body) : NULL;
    request.resource = resource_of_key(key);
    assert_non_null(request.resource);
    request.namespace = namespace;
    request.name = name;
    request.body = value;
    request.grace = -1;
    return submit(fixture, request);
}

int create(Fixture *fixture, const char *key, const char *namespace, const char *body)
{
    return with_body(fixture, (ApiRequest){.verb = API_CREATE}, key, namespace, NULL, body);
}

int update(Fixture *fixture, const char *key, const char *namespace, const char *name, const char *body)
{
    return with_body(fixture, (ApiRequest){.verb = API_UPDATE}, key, namespace, name, body);
}

int patch(Fixture *fixture, const char *key, const char *namespace, const char *name, const char *body)
{
    return with_body(fixture, (ApiRequest){.verb = API_PATCH, .patch = API_PATCH_MERGE}, key, namespace, name, body);
}

int get(Fixture *fixture, const char *key, const char *namespace, const char *name)
{
    return with_body(fixture, (ApiRequest){.verb = API_GET}, key, namespace, name, NULL);
}

int delete (Fixture *fixture, const char *key, const char *namespace, const char *name, const char *options)
{
    return with_body(fixture, (ApiRequest){.verb = API_DELETE}, key, namespace, name, options);
}

const char *message(const Fixture *fixture)
{
    return kube_status_message(fixture->object);
}

void fixture_expect(const Fixture *fixture, int expected, int actual, const char *file, int line)
{
    if (actual == expected)
        return;
    AUTO_FREE char *text = json_dumps(fixture->object, JSON_COMPACT);
    fail_msg("%s:%d: %d expected, not %d: %s", file, line, expected, actual, text);
}
