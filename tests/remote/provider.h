/* provider.h - a process that offers the Sampler service over Connect, for
 * tests, and plain sockets to talk to it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROVIDER_AGENT "provider-1"
#define PROVIDER_TOKEN "0123456789abcdef"
#define PROVIDER_PATH "/sampler.v1.Sampler/"

typedef struct Provider {
    pid_t pid;
    int port;
    char url[64];
    char endpoint[64];
    char second[64]; /* its Echo sets int32_value to 2 */
} Provider;

void provider_start(Provider *provider);
/* Over TLS: `folder` gets an authority, and certificates for 127.0.0.1 ("server") and clients ("client"). */
void provider_start_secure(Provider *provider, const char *folder);
/* As before a restart: the same port, other endpoints. */
void provider_start_at(Provider *provider, int port);
/* Ends it in order; fails the test when it did not end well (leaks, too). */
void provider_stop(Provider *provider);

int raw_connect(int port);
void raw_send(int fd, const char *data, size_t size);

typedef struct Answer {
    int status; /* 0: closed without an answer */
    char head[4096];
    char body[8192];
    size_t size;
} Answer;

/* Reads one answer, waiting for it as long as needed (at most 20 s). */
void raw_receive(int fd, Answer *answer);
/* Sends a text on a connection of its own and reads the answer. */
void raw_ask(int port, const char *text, Answer *answer);
/* A POST with the token; `more` are further header lines. */
void raw_post(int port, const char *path, const char *more, const char *body, size_t size, Answer *answer);
