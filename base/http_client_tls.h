/* http_client_tls.h - TLS for http_client_wire.c, over GnuTLS on sockets that
 * do not block: only servers whose certificate the client's CA signed for the
 * address asked for, as a server's, TLS 1.2 or later. */
#pragma once

#include "http_client.h"

#include <sys/types.h>

typedef struct HttpTls HttpTls;               /* what a client trusts and is */
typedef struct HttpTlsSession HttpTlsSession; /* one connection */

/* -EINVAL, -EACCES, ...: a file cannot be used; `error` says which. Without a
 * CA nobody is trusted. */
int http_tls_new(const HttpClientOptions *options, HttpTls **ret, InaError *error);
HttpTls *http_tls_free(HttpTls *tls);

/* For a connected socket, which stays the caller's. `host` is an address. NULL: out of memory. */
HttpTlsSession *http_tls_session_new(HttpTls *tls, int fd, const char *host);
/* A session (gnutls_session_t) that is established, and stays somebody else's. NULL: out of memory. */
HttpTlsSession *http_tls_session_borrow(void *borrowed, int fd);
/* 0: done. -EAGAIN: wait for `ret_events` of the socket. -EACCES: the server is
 * not trusted; else another errno. `error` says why. */
int http_tls_handshake(HttpTlsSession *session, uint32_t *ret_events, InaError *error);
/* As send and recv: -1 and errno; 0 from receive is the end. After EAGAIN the
 * same bytes are to be sent again; EAGAIN from receive means that the socket is
 * drained, as edge-triggered waiting needs. */
ssize_t http_tls_send(HttpTlsSession *session, const void *data, size_t size);
ssize_t http_tls_receive(HttpTlsSession *session, void *buffer, size_t size);
/* Whether there are bytes that the socket does not tell of any more. */
bool http_tls_pending(const HttpTlsSession *session);
/* Says that nothing more comes, and frees. Takes NULL. */
HttpTlsSession *http_tls_session_free(HttpTlsSession *session);
