/* pipe.h - one connection through the proxy: two sockets and what is on its way
 * between them.
 *
 * Each direction has a buffer of PIPE_BUFFER bytes; when it is full, nothing
 * more is read (back-pressure). One side's end of writing is passed on; the
 * pipe ends when both have ended, or one breaks. */
#pragma once

#include <inaetics/error.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define PIPE_BUFFER (64u * 1024u)
#define PIPE_CONNECT_US (3 * UINT64_C(1000000))

typedef struct Pipe Pipe;

typedef struct PipeOptions {
    sd_event *event;
    int client;                /* accepted, non-blocking; taken, on failure too */
    struct sockaddr_in target; /* tried first */
    /* Nobody answers there: returns true with another target set, false to give up. */
    bool (*next)(void *userdata, struct sockaddr_in *target);
    void (*ended)(void *userdata); /* once, from the loop; the pipe is still to be freed */
    void *userdata;
} PipeOptions;

int pipe_new(const PipeOptions *options, Pipe **ret, InaError *error);
/* Where it leads. */
const struct sockaddr_in *pipe_target(const Pipe *pipe);
void pipe_bytes(const Pipe *pipe, uint64_t *ret_up, uint64_t *ret_down);
/* Cuts it: the client sees a reset. */
Pipe *pipe_free(Pipe *pipe);
