/* http_fixture.h - a loop with an HTTP server in it, and bare clients. */
#pragma once

#include "base/http_client.h"
#include "base/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PATIENCE UINT64_C(120000000) /* us that a condition may take on a busy machine */

typedef struct Fixture {
    sd_event *event;
    HttpServer *server;
    HttpClient *client;
    char address[128]; /* of the server's first listener */
    /* Of the handlers below. */
    unsigned handled, cancelled;
    InaHttpRequest *held[1200];
    size_t n_held;
} Fixture;

/* With `options` NULL: the defaults. Listens on a free port of 127.0.0.1. */
void fixture_start(Fixture *fixture, const HttpServerOptions *options);
void fixture_stop(Fixture *fixture);
uint64_t fixture_now(void); /* us */
/* Runs the loop until `condition` holds; fails the test when it never does. */
#define fixture_until(fixture, condition)                                                                              \
    do {                                                                                                               \
        uint64_t limit_ = fixture_now() + PATIENCE;                                                                    \
        while (!(condition)) {                                                                                         \
            if (fixture_now() > limit_)                                                                                \
                fail_msg("never came true: %s", #condition);                                                           \
            sd_event_run((fixture)->event, 10000);                                                                     \
        }                                                                                                              \
    } while (0)
void fixture_run(Fixture *fixture, uint64_t us); /* lets the loop run for so long */

/* Handlers; userdata is the fixture. This keeps its request in `held`; answered or not is the test's affair. */
void hold(void *userdata, InaHttpRequest *request);
/* Answers with the body that came. */
void echo(void *userdata, InaHttpRequest *request);

/* --- bare clients ------------------------------------------------------- */

int bare_connect(const char *address);
void bare_send(int fd, const char *text);
/* Reads one whole answer (by its Content-Length or chunks, or to the end), running
 * the loop; returns its status, 0 when the connection closed without one. The text is freed by the caller. */
int bare_answer(Fixture *fixture, int fd, char **ret_text);
/* Sends `text` on a new connection, returns the status of the answer. */
int bare_exchange(Fixture *fixture, const char *text);
/* Whether the other side has closed, read to its end; runs the loop until then. */
void bare_until_closed(Fixture *fixture, int fd);

/* --- bare servers ------------------------------------------------------- */

/* A listening socket on a free port, its address in `ret`. */
int bare_listen(char *ret, size_t size);
/* The next connection, with a whole request without a body read from it; runs the loop until then. */
int bare_accept(Fixture *fixture, int fd);
/* Reads a whole request (header only) from a connection; false when it was closed. */
bool bare_request(Fixture *fixture, int fd, char *text, size_t size);

/* --- our client --------------------------------------------------------- */

typedef struct Answer {
    bool done;
    int status;
    char *body;
    size_t size;
    char content_type[64];
    InaError error;
} Answer;

/* The callback for an Answer as userdata. */
void answer_done(void *userdata, const InaHttpResponse *response);
void answer_free(Answer *answer);
/* Fetches and waits; `options` without done and userdata. */
void fetch(Fixture *fixture, const InaHttpFetchOptions *options, Answer *ret);
/* "http://ADDRESS/path", in a buffer that the next call overwrites. */
const char *url_of(Fixture *fixture, const char *path);
