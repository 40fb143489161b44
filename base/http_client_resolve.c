/* http_client_resolve.c - see http_client_resolve.h. */
#include "http_client_resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Shared by the asker and the thread; the last of them frees it. */
typedef struct Question {
    atomic_int users;
    int done; /* an eventfd */
    char name[256], port[8];
    HttpAddress addresses[HTTP_RESOLVE_ADDRESSES_MAX];
    size_t n;
    const char *problem;
} Question;

struct HttpResolve {
    Question *question;
    sd_event_source *source;
    HttpResolved resolved;
    void *userdata;
};

static void question_unref(Question *question)
{
    if (atomic_fetch_sub(&question->users, 1) > 1)
        return;
    close(question->done);
    free(question);
}

static void *ask(void *userdata)
{
    Question *question = userdata;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    uint64_t one = 1;

    int r = getaddrinfo(question->name, question->port, &hints, &found);
    for (struct addrinfo *at = found; r == 0 && at && question->n < HTTP_RESOLVE_ADDRESSES_MAX; at = at->ai_next) {
        HttpAddress *address = &question->addresses[question->n];
        if (at->ai_addrlen > sizeof(address->address))
            continue;
        memcpy(&address->address, at->ai_addr, at->ai_addrlen);
        address->size = at->ai_addrlen;
        question->n++;
    }
    if (found)
        freeaddrinfo(found);
    if (question->n == 0)
        question->problem = r ? gai_strerror(r) : "it has no address";
    (void)!write(question->done, &one, sizeof(one));
    question_unref(question);
    return NULL;
}

void http_resolve_cancel(HttpResolve *resolve)
{
    if (!resolve)
        return;
    sd_event_source_disable_unref(resolve->source);
    question_unref(resolve->question);
    free(resolve);
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    HttpResolve *resolve = userdata;
    Question *question = resolve->question;
    uint64_t count;

    if (read(fd, &count, sizeof(count)) != sizeof(count))
        return 0;
    resolve->source = sd_event_source_disable_unref(resolve->source);
    resolve->resolved(resolve->userdata, question->addresses, question->n, question->problem);
    question_unref(question);
    free(resolve);
    return 0;
}

static int start_thread(Question *question)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    int r = pthread_attr_init(&attributes);
    if (r != 0)
        return -r;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, (size_t)256 * 1024);
    sigfillset(&all); /* signals are for the loop's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&thread, &attributes, ask, question);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -r;
}

int http_resolve(sd_event *event, const char *name, uint16_t port, HttpResolved resolved, void *userdata,
                 HttpResolve **ret)
{
    HttpResolve *resolve = calloc(1, sizeof(*resolve));
    Question *question = calloc(1, sizeof(*question));

    if (!resolve || !question) {
        free(resolve);
        free(question);
        return -ENOMEM;
    }
    atomic_init(&question->users, 1);
    snprintf(question->name, sizeof(question->name), "%s", name);
    snprintf(question->port, sizeof(question->port), "%u", port);
    question->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    resolve->question = question;
    resolve->resolved = resolved;
    resolve->userdata = userdata;
    int r = question->done < 0 ? -errno
                               : sd_event_add_io(event, &resolve->source, question->done, EPOLLIN, on_done, resolve);
    if (r >= 0) {
        atomic_fetch_add(&question->users, 1);
        r = start_thread(question);
        if (r < 0)
            atomic_fetch_sub(&question->users, 1);
    }
    if (r < 0) {
        http_resolve_cancel(resolve);
        return r;
    }
    *ret = resolve;
    return 0;
}
