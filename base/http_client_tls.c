/* http_client_tls.c - see http_client_tls.h. */
#include "http_client_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct HttpTls {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
};

struct HttpTlsSession {
    gnutls_session_t session;
    int fd;
    bool established;
};

int http_tls_new(const HttpClientOptions *options, HttpTls **ret, InaError *error)
{
    int r;

    if (!options->ca_file)
        return ina_error_set(error, EPROTONOSUPPORT, "https needs a CA to trust");
    HttpTls *tls = calloc(1, sizeof(*tls));
    if (!tls || gnutls_certificate_allocate_credentials(&tls->credentials) < 0 ||
        gnutls_priority_init(&tls->priorities, PRIORITIES, NULL) < 0) {
        http_tls_free(tls);
        return ina_error_set(error, ENOMEM, "TLS does not start");
    }
    if ((r = gnutls_certificate_set_x509_trust_file(tls->credentials, options->ca_file, GNUTLS_X509_FMT_PEM)) <= 0) {
        http_tls_free(tls);
        return ina_error_set(error, EINVAL, "%s: no CA certificate in it: %s", options->ca_file,
                             r < 0 ? gnutls_strerror(r) : "it is empty");
    }
    if (options->certificate_file) {
        const char *key = options->key_file ? options->key_file : options->certificate_file;
        r = gnutls_certificate_set_x509_key_file(tls->credentials, options->certificate_file, key, GNUTLS_X509_FMT_PEM);
        if (r < 0) {
            http_tls_free(tls);
            return ina_error_set(error, EINVAL, "%s with key %s: %s", options->certificate_file, key,
                                 gnutls_strerror(r));
        }
    }
    *ret = tls;
    return 0;
}

HttpTls *http_tls_free(HttpTls *tls)
{
    if (!tls)
        return NULL;
    if (tls->priorities)
        gnutls_priority_deinit(tls->priorities);
    if (tls->credentials)
        gnutls_certificate_free_credentials(tls->credentials);
    free(tls);
    return NULL;
}

static bool is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

int http_tls_session_new(HttpTls *tls, int fd, const char *host, HttpTlsSession **ret)
{
    static const gnutls_datum_t protocol = {(unsigned char *)"http/1.1", 8};

    HttpTlsSession *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    if (gnutls_init(&session->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS) < 0) {
        free(session);
        return -ENOMEM;
    }
    if (gnutls_priority_set(session->session, tls->priorities) < 0 ||
        gnutls_credentials_set(session->session, GNUTLS_CRD_CERTIFICATE, tls->credentials) < 0 ||
        gnutls_alpn_set_protocols(session->session, &protocol, 1, 0) < 0 ||
        (!is_address(host) && gnutls_server_name_set(session->session, GNUTLS_NAME_DNS, host, strlen(host)) < 0)) {
        http_tls_session_free(session);
        return -ENOMEM;
    }
    gnutls_session_set_verify_cert(session->session, host, 0);
    gnutls_transport_set_int(session->session, fd);
    session->fd = fd;
    gnutls_handshake_set_timeout(session->session, 0); /* the fetch has its deadline */
    *ret = session;
    return 0;
}

HttpTlsSession *http_tls_session_free(HttpTlsSession *session)
{
    if (!session)
        return NULL;
    if (session->established)
        gnutls_bye(session->session, GNUTLS_SHUT_WR);
    gnutls_deinit(session->session);
    free(session);
    return NULL;
}

bool http_tls_wants_write(const HttpTlsSession *session)
{
    return gnutls_record_get_direction(session->session) == 1;
}

static void describe(gnutls_session_t session, int r, char *problem, size_t size)
{
    gnutls_datum_t text = {0};

    if (r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
        gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(session), GNUTLS_CRT_X509,
                                                     &text, 0) >= 0) {
        snprintf(problem, size, "the server is not trusted: %s", (const char *)text.data);
        gnutls_free(text.data);
    } else if (r == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        const char *alert = gnutls_alert_get_name(gnutls_alert_get(session));
        snprintf(problem, size, "the server ended the TLS handshake: %s", alert ? alert : "unknown alert");
    } else {
        snprintf(problem, size, "TLS handshake: %s", gnutls_strerror(r));
    }
}

int http_tls_handshake(HttpTlsSession *session, char *problem, size_t size)
{
    int r;

    do
        r = gnutls_handshake(session->session);
    while (r < 0 && r != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(r));
    if (r == GNUTLS_E_AGAIN)
        return -EAGAIN;
    if (r == GNUTLS_E_SUCCESS) {
        session->established = true;
        return 0;
    }
    describe(session->session, r, problem, size);
    return r == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR                                                  ? -EACCES
           : r == GNUTLS_E_PREMATURE_TERMINATION || r == GNUTLS_E_PULL_ERROR || r == GNUTLS_E_PUSH_ERROR ? -ECONNRESET
                                                                                                         : -EPROTO;
}

static ssize_t result_of(ssize_t r)
{
    if (r >= 0)
        return r;
    switch (r) {
    case GNUTLS_E_AGAIN:
        return -EAGAIN;
    case GNUTLS_E_INTERRUPTED:
        return -EINTR;
    case GNUTLS_E_PREMATURE_TERMINATION:
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return -ECONNRESET;
    case GNUTLS_E_FATAL_ALERT_RECEIVED: /* so TLS 1.3 refuses a client's certificate, after the handshake */
        return -EACCES;
    case GNUTLS_E_MEMORY_ERROR:
        return -ENOMEM;
    default:
        return gnutls_error_is_fatal((int)r) ? -EPROTO : -EINTR;
    }
}

ssize_t http_tls_send(HttpTlsSession *session, const void *data, size_t size)
{
    return result_of(gnutls_record_send(session->session, data, size));
}

/* GnuTLS says "again" after each message of its own (tickets), whatever the socket has. */
static bool has_more(const HttpTlsSession *session)
{
    char byte;

    return recv(session->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

ssize_t http_tls_receive(HttpTlsSession *session, void *data, size_t size)
{
    ssize_t n;

    do
        n = gnutls_record_recv(session->session, data, size);
    while (n == GNUTLS_E_AGAIN && has_more(session));
    return result_of(n);
}

bool http_tls_pending(const HttpTlsSession *session)
{
    return gnutls_record_check_pending(session->session) > 0;
}
