/* call.h - making calls: the host's side of inaetics/call.h.
 *
 * A Call is made by whoever transports it: a local client, or the HTTP server
 * for a remote caller. It has one answer, which goes to `answered`. */
#pragma once

#include "registry.h"

typedef struct CallOptions {
    const char *caller; /* copied */
    uint64_t deadline;  /* CLOCK_MONOTONIC ns, UINT64_MAX: none */
    /* Exactly once, with a reply or a failure, valid during the call of it. */
    void (*answered)(void *userdata, const ProtobufCMessage *reply, const InaFailure *failure);
    void *userdata;
} CallOptions;

/* Invokes a method of a local or remote entry. Takes `request`, which must
 * come from the contract's unpack (allocator NULL); frees it with the call.
 * While the provider is being updated the call waits, until its deadline.
 * Called from the loop it goes to the provider at once, so `answered` may come
 * before this returns: the result is NULL then. The reply is of the contract
 * that the entry has at that time. NULL without an answer: out of memory, too
 * many calls, or no such method. */
InaCall *call_start(ServiceEntry *entry, unsigned method, ProtobufCMessage *request, const CallOptions *options);
/* The caller left: the provider is told; `answered` is not called any more. */
void call_cancel(InaCall *call);
