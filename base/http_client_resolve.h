/* http_client_resolve.h - the addresses of a host name, without blocking the
 * loop: each question has a thread of its own, which may outlive the asker. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#define HTTP_RESOLVE_ADDRESSES_MAX 4u

typedef struct HttpResolve HttpResolve;

typedef struct HttpAddress {
    struct sockaddr_storage address;
    socklen_t size;
} HttpAddress;

/* `problem` is NULL when there are addresses. Gone afterwards. */
typedef void (*HttpResolved)(void *userdata, const HttpAddress *addresses, size_t n, const char *problem);

int http_resolve(sd_event *event, const char *name, uint16_t port, HttpResolved resolved, void *userdata,
                 HttpResolve **ret);
void http_resolve_cancel(HttpResolve *resolve);
