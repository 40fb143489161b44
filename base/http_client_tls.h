/* http_client_tls.h - the client's side of TLS (GnuTLS), over sockets that do
 * not block. A server is trusted when the given CA signed it, for the name or
 * address that was asked for, and for nothing else. */
#pragma once

#include "http_client.h"
#include <stdbool.h>
#include <sys/types.h>

typedef struct HttpTls HttpTls; /* what is trusted, and who we are */
typedef struct HttpTlsSession HttpTlsSession;

int http_tls_new(const HttpClientOptions *options, HttpTls **ret, InaError *error);
HttpTls *http_tls_free(HttpTls *tls);

/* `host` is the name or address that the server must have; it stays the caller's. */
int http_tls_session_new(HttpTls *tls, int fd, const char *host, HttpTlsSession **ret);
HttpTlsSession *http_tls_session_free(HttpTlsSession *session); /* says goodbye, if that can be done at once */

/* These return -EAGAIN when the socket is to become readable, or writable when
 * http_tls_wants_write() says so; then again with the same arguments. Other
 * failures leave a text in `problem` (size at least 256). */
int http_tls_handshake(HttpTlsSession *session, char *problem, size_t size);
ssize_t http_tls_send(HttpTlsSession *session, const void *data, size_t size);
/* 0: ended properly. -EAGAIN means that the socket is drained, as edge-triggered waiting needs. */
ssize_t http_tls_receive(HttpTlsSession *session, void *data, size_t size);
/* Whether there are bytes that the socket does not tell of any more. */
bool http_tls_pending(const HttpTlsSession *session);
bool http_tls_wants_write(const HttpTlsSession *session);
