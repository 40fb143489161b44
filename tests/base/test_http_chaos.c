/* Client and server in one loop, doing everything to each other in random
 * order: whatever happens, each fetch ends once and nothing is lost. */
#include "http_fixture.h"
#include "tests/seed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEPS 6000
#define OPEN_MAX_ 80

typedef struct Chaos Chaos;

typedef struct Try {
    Chaos *chaos;
    InaHttpFetch *fetch; /* NULL: free */
    bool stream;
    size_t size; /* sent, and to come back */
    unsigned chunks;
} Try;

typedef struct Owed {
    Chaos *chaos;
    InaHttpRequest *request; /* NULL: free */
    bool cancelled;
} Owed;

typedef struct Open {
    Chaos *chaos;
    InaHttpStream *stream; /* NULL: free */
} Open;

struct Chaos {
    sd_event *event;
    HttpServer *server;
    HttpClient *client;
    char address[64];
    unsigned seed;
    Try tries[OPEN_MAX_];
    Owed owed[4 * OPEN_MAX_];
    Open open[4 * OPEN_MAX_];
    unsigned started, done, failed, cancelled, left, streams, answered;
};

static unsigned dice(Chaos *chaos, unsigned n)
{
    return (unsigned)rand_r(&chaos->seed) % n;
}

/* --- the server's side -------------------------------------------------- */

static void on_cancel(void *userdata)
{
    Owed *owed = userdata;

    assert_false(owed->cancelled);
    owed->cancelled = true;
    owed->chaos->left++;
    if (dice(owed->chaos, 2)) { /* answers at once, or later */
        InaHttpRequest *request = owed->request;
        owed->request = NULL;
        ina_http_respond(request, 200, NULL, "dropped", 7);
    }
}

static void on_stream_closed(void *userdata)
{
    Open *open = userdata;

    assert_non_null(open->stream);
    open->stream = NULL;
}

static void answer_owed(Owed *owed)
{
    InaHttpRequest *request = owed->request;
    size_t size;
    const void *body = ina_http_body(request, &size);

    owed->request = NULL;
    owed->chaos->answered++;
    ina_http_respond(request, 200, "application/octet-stream", body, size);
}

static void handle(void *userdata, InaHttpRequest *request)
{
    Chaos *chaos = userdata;
    size_t size;
    const char *body = ina_http_body(request, &size);

    if (strcmp(ina_http_path(request), "/stream") == 0) {
        for (size_t i = 0; i < sizeof(chaos->open) / sizeof(chaos->open[0]); i++) {
            Open *open = &chaos->open[i];
            if (open->stream)
                continue;
            open->chaos = chaos;
            open->stream = ina_http_respond_stream(request, 200, "a/b", NULL, on_stream_closed, open);
            chaos->streams++;
            return;
        }
    } else if (dice(chaos, 3) == 0) {
        for (size_t i = 0; i < sizeof(chaos->owed) / sizeof(chaos->owed[0]); i++) {
            Owed *owed = &chaos->owed[i];
            if (owed->request)
                continue;
            *owed = (Owed){.chaos = chaos, .request = request};
            ina_http_on_cancel(request, on_cancel, owed);
            return;
        }
    }
    ina_http_respond(request, 200, "application/octet-stream", body, size);
}

/* Restarts on the same port, as a process would. */
static void restart_server(Chaos *chaos)
{
    InaError error;

    http_server_free(chaos->server);
    if (http_server_new(chaos->event, NULL, &chaos->server, &error) < 0 ||
        http_server_listen(chaos->server, chaos->address[0] ? chaos->address : "127.0.0.1:0", &error) < 0)
        fail_msg("%s", error.message);
    http_server_handle(chaos->server, "/", handle, chaos, NULL);
    snprintf(chaos->address, sizeof(chaos->address), "%s", http_server_address(chaos->server, 0));
}

/* --- the client's side -------------------------------------------------- */

static void cancel(Try *try)
{
    http_fetch_cancel(try->fetch);
    try->fetch = NULL;
    try->chaos->cancelled++;
}

static void start_one(Chaos *chaos);

static void on_done(void *userdata, const InaHttpResponse *response)
{
    Try *try = userdata;
    Chaos *chaos = try->chaos;

    assert_non_null(try->fetch);
    try->fetch = NULL;
    if (response->status == 0) {
        assert_true(response->error.code != 0 && response->error.message[0]);
        chaos->failed++;
    } else {
        assert_int_equal(response->status, 200);
        if (!try->stream) {
            assert_int_equal(response->size, try->size);
            for (size_t i = 0; i < try->size; i += 997)
                assert_int_equal(((const unsigned char *)response->body)[i], (unsigned char)(try->size + i));
        }
        chaos->done++;
    }
    if (dice(chaos, 4) == 0)
        start_one(chaos);
    if (dice(chaos, 10) == 0)
        for (unsigned i = dice(chaos, OPEN_MAX_), n = 0; n < 3; i = (i + 1) % OPEN_MAX_, n++)
            if (chaos->tries[i].fetch)
                cancel(&chaos->tries[i]);
}

static void on_chunk(void *userdata, const void *data, size_t size)
{
    Try *try = userdata;

    try->chunks++;
    if (dice(try->chaos, 5) == 0)
        cancel(try);
    else if (dice(try->chaos, 5) == 0)
        start_one(try->chaos);
}

static void start_one(Chaos *chaos)
{
    Try *try = &chaos->tries[dice(chaos, OPEN_MAX_)];
    static unsigned char body[400000];
    char url[128];
    InaError error;

    if (try->fetch)
        return;
    *try = (Try){.chaos = chaos, .stream = dice(chaos, 6) == 0};
    static const unsigned sizes[] = {1, 100, 10000, sizeof(body)};
    try->size = try->stream ? 0 : 1 + dice(chaos, sizes[dice(chaos, 4)]);
    for (size_t i = 0; i < try->size; i++)
        body[i] = (unsigned char)(try->size + i);
    snprintf(url, sizeof(url), "http://%s/%s", chaos->address, try->stream ? "stream" : "echo");
    try->fetch = http_client_fetch(chaos->client,
                                   &(InaHttpFetchOptions){.url = url,
                                                          .method = dice(chaos, 2) && try->size ? "PUT" : NULL,
                                                          .body = try->size ? body : NULL,
                                                          .body_size = try->size,
                                                          .timeout = 1000000ull * (1 + dice(chaos, 2000)),
                                                          .chunk = try->stream ? on_chunk : NULL,
                                                          .done = on_done,
                                                          .userdata = try},
                                   &error);
    if (!try->fetch)
        fail_msg("%s", error.message);
    chaos->started++;
}

static void restart_client(Chaos *chaos)
{
    InaError error;
    HttpClientOptions options = {.connections_per_host = 1 + dice(chaos, 12)};

    http_client_free(chaos->client);
    for (unsigned i = 0; i < OPEN_MAX_; i++)
        if (chaos->tries[i].fetch) {
            chaos->tries[i].fetch = NULL;
            chaos->cancelled++;
        }
    if (http_client_new(chaos->event, &options, &chaos->client, &error) < 0)
        fail_msg("%s", error.message);
}

/* --- all ---------------------------------------------------------------- */

static void step(Chaos *chaos)
{
    unsigned i = dice(chaos, OPEN_MAX_), what = dice(chaos, 1000);
    Owed *owed = &chaos->owed[dice(chaos, 4 * OPEN_MAX_)];
    Open *open = &chaos->open[dice(chaos, 4 * OPEN_MAX_)];

    if (what < 500)
        start_one(chaos);
    else if (what < 600 && chaos->tries[i].fetch)
        cancel(&chaos->tries[i]);
    else if (what < 605)
        restart_server(chaos);
    else if (what < 610)
        restart_client(chaos);
    for (unsigned n = 0; n < 20; n++, owed = &chaos->owed[dice(chaos, 4 * OPEN_MAX_)])
        if (owed->request)
            answer_owed(owed);
    for (unsigned n = 0; n < 20; n++, open = &chaos->open[dice(chaos, 4 * OPEN_MAX_)])
        if (open->stream && dice(chaos, 8) == 0) {
            InaHttpStream *stream = open->stream;
            open->stream = NULL;
            ina_http_stream_close(stream);
        } else if (open->stream) {
            ina_http_stream_write(open->stream, chaos, 1 + dice(chaos, sizeof(*chaos)));
        }
    sd_event_run(chaos->event, 0);
    if (dice(chaos, 20) == 0)
        sd_event_run(chaos->event, 2000);
}

static void each_fetch_ends_once_whatever_happens(void **state)
{
    static Chaos chaos;

    chaos.seed = test_seed();
    print_message("INAETICS_SEED=%u\n", chaos.seed);
    assert_true(sd_event_new(&chaos.event) >= 0);
    restart_server(&chaos);
    restart_client(&chaos);
    for (unsigned i = 0; i < STEPS; i++)
        step(&chaos);
    /* Nothing new: all that is open comes to its end. */
    uint64_t limit = fixture_now() + PATIENCE;
    for (bool some = true; some;) {
        assert_true(fixture_now() < limit);
        some = false;
        for (unsigned i = 0; i < 4 * OPEN_MAX_; i++) {
            if (chaos.owed[i].request)
                answer_owed(&chaos.owed[i]);
            if (chaos.open[i].stream) {
                InaHttpStream *stream = chaos.open[i].stream;
                chaos.open[i].stream = NULL;
                ina_http_stream_close(stream);
            }
        }
        sd_event_run(chaos.event, 1000);
        for (unsigned i = 0; i < OPEN_MAX_; i++)
            some |= chaos.tries[i].fetch != NULL;
    }
    print_message("%u fetches: %u answered, %u failed, %u cancelled; %u requests left, %u streams\n", chaos.started,
                  chaos.done, chaos.failed, chaos.cancelled, chaos.left, chaos.streams);
    assert_int_equal(chaos.started, chaos.done + chaos.failed + chaos.cancelled);
    assert_true(chaos.done > 0 && chaos.cancelled > 0 && chaos.left > 0 && chaos.streams > 0);
    chaos.client = http_client_free(chaos.client);
    chaos.server = http_server_free(chaos.server);
    for (unsigned i = 0; i < 4 * OPEN_MAX_; i++) /* those that were cancelled just now */
        if (chaos.owed[i].request)
            answer_owed(&chaos.owed[i]);
    sd_event_unref(chaos.event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fetch_ends_once_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
