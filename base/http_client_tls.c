/* http_client_tls.c - see http_client_tls.h. */
#include "http_client_tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct HttpTls {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
};

struct HttpTlsSession {
    gnutls_session_t session;
    int fd;
    char host[64];                     /* GnuTLS keeps the pointer */
    gnutls_typed_vdata_st expected[2]; /* and this one: a server's certificate, for the host */
    bool borrowed;
};

static int refuse(InaError *error, int code, const char *what, const char *file)
{
    return ina_error_set(error, code == GNUTLS_E_FILE_ERROR ? EACCES : EINVAL, "%s %s: %s", what, file,
                         gnutls_strerror(code));
}

int http_tls_new(const HttpClientOptions *options, HttpTls **ret, InaError *error)
{
    HttpTls *tls = calloc(1, sizeof(*tls));
    int code = tls ? gnutls_certificate_allocate_credentials(&tls->credentials) : GNUTLS_E_MEMORY_ERROR;

    if (code >= 0)
        code = gnutls_priority_init(&tls->priority, PRIORITY, NULL);
    if (code < 0) {
        http_tls_free(tls);
        return ina_error_set(error, ENOMEM, "TLS: %s", gnutls_strerror(code));
    }
    int r = 0;
    if (options->ca_file) {
        code = gnutls_certificate_set_x509_trust_file(tls->credentials, options->ca_file, GNUTLS_X509_FMT_PEM);
        if (code <= 0)
            r = refuse(error, code < 0 ? code : GNUTLS_E_NO_CERTIFICATE_FOUND, "CA", options->ca_file);
    }
    if (r == 0 && options->certificate_file) {
        code = gnutls_certificate_set_x509_key_file(tls->credentials, options->certificate_file,
                                                    options->key_file ? options->key_file : options->certificate_file,
                                                    GNUTLS_X509_FMT_PEM);
        if (code < 0)
            r = refuse(error, code, "certificate", options->certificate_file);
    }
    if (r < 0) {
        http_tls_free(tls);
        return r;
    }
    *ret = tls;
    return 0;
}

HttpTls *http_tls_free(HttpTls *tls)
{
    if (!tls)
        return NULL;
    if (tls->priority)
        gnutls_priority_deinit(tls->priority);
    if (tls->credentials)
        gnutls_certificate_free_credentials(tls->credentials);
    free(tls);
    return NULL;
}

HttpTlsSession *http_tls_session_new(HttpTls *tls, int fd, const char *host)
{
    static const gnutls_datum_t protocol = {(unsigned char *)"http/1.1", 8};
    HttpTlsSession *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    if (gnutls_init(&session->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        free(session);
        return NULL;
    }
    strncpy(session->host, host, sizeof(session->host) - 1);
    session->fd = fd;
    session->expected[0] = (gnutls_typed_vdata_st){.type = GNUTLS_DT_DNS_HOSTNAME, .data = (void *)session->host};
    session->expected[1] =
        (gnutls_typed_vdata_st){.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (void *)GNUTLS_KP_TLS_WWW_SERVER};
    gnutls_transport_set_int(session->session, fd);
    if (gnutls_priority_set(session->session, tls->priority) < 0 ||
        gnutls_credentials_set(session->session, GNUTLS_CRD_CERTIFICATE, tls->credentials) < 0 ||
        gnutls_alpn_set_protocols(session->session, &protocol, 1, 0) < 0) {
        gnutls_deinit(session->session);
        free(session);
        return NULL;
    }
    gnutls_session_set_verify_cert2(session->session, session->expected, 2, 0);
    gnutls_handshake_set_timeout(session->session, GNUTLS_INDEFINITE_TIMEOUT); /* the fetch has its deadline */
    return session;
}

HttpTlsSession *http_tls_session_borrow(void *borrowed, int fd)
{
    HttpTlsSession *session = calloc(1, sizeof(*session));

    if (session)
        *session = (HttpTlsSession){.session = borrowed, .fd = fd, .borrowed = true};
    return session;
}

/* Why a certificate is not trusted. */
static int untrusted(const HttpTlsSession *session, InaError *error)
{
    unsigned status = gnutls_session_get_verify_cert_status(session->session);
    gnutls_datum_t text = {0};

    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
        return ina_error_set(error, EACCES, "the server's certificate is not trusted");
    int r = ina_error_set(error, EACCES, "%s", text.data);
    gnutls_free(text.data);
    return r;
}

int http_tls_handshake(HttpTlsSession *session, uint32_t *ret_events, InaError *error)
{
    int code;

    do
        code = gnutls_handshake(session->session);
    while (code == GNUTLS_E_INTERRUPTED || code == GNUTLS_E_WARNING_ALERT_RECEIVED);
    if (code == 0)
        return 0;
    if (code == GNUTLS_E_AGAIN) {
        *ret_events = gnutls_record_get_direction(session->session) ? EPOLLOUT : EPOLLIN;
        return -EAGAIN;
    }
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
        return untrusted(session, error);
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return ina_error_set(error, EPROTO, "the server refuses TLS: %s",
                             gnutls_alert_get_name(gnutls_alert_get(session->session)));
    if (code == GNUTLS_E_UNEXPECTED_PACKET_LENGTH || code == GNUTLS_E_UNSUPPORTED_VERSION_PACKET ||
        code == GNUTLS_E_UNEXPECTED_PACKET || code == GNUTLS_E_RECORD_OVERFLOW)
        return ina_error_set(error, EPROTO, "what answers there does not speak TLS (plain HTTP, perhaps)");
    if (code == GNUTLS_E_PREMATURE_TERMINATION || code == GNUTLS_E_PULL_ERROR || code == GNUTLS_E_PUSH_ERROR)
        return ina_error_set(error, ECONNRESET, "the server closed the connection while TLS began");
    return ina_error_set(error, EPROTO, "TLS: %s", gnutls_strerror(code));
}

static ssize_t errno_of(ssize_t code)
{
    switch (code) {
    case GNUTLS_E_AGAIN:
        errno = EAGAIN;
        break;
    case GNUTLS_E_INTERRUPTED:
        errno = EINTR;
        break;
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
    case GNUTLS_E_PREMATURE_TERMINATION: /* anybody on the way could end a body so */
        errno = ECONNRESET;
        break;
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        /* TLS 1.3 refuses a client's certificate after its handshake is done. */
        errno = EACCES;
        break;
    case GNUTLS_E_MEMORY_ERROR:
        errno = ENOMEM;
        break;
    default:
        errno = EPROTO;
        break;
    }
    return -1;
}

ssize_t http_tls_send(HttpTlsSession *session, const void *data, size_t size)
{
    ssize_t n = gnutls_record_send(session->session, data, size);

    return n < 0 ? errno_of(n) : n;
}

/* GnuTLS says "again" after each message of its own (tickets), whatever the socket has. */
static bool has_more(const HttpTlsSession *session)
{
    char byte;

    return recv(session->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

ssize_t http_tls_receive(HttpTlsSession *session, void *buffer, size_t size)
{
    ssize_t n;

    do
        n = gnutls_record_recv(session->session, buffer, size);
    while (n == GNUTLS_E_WARNING_ALERT_RECEIVED || (n == GNUTLS_E_AGAIN && has_more(session)));
    return n < 0 ? errno_of(n) : n;
}

bool http_tls_pending(const HttpTlsSession *session)
{
    return gnutls_record_check_pending(session->session) > 0;
}

HttpTlsSession *http_tls_session_free(HttpTlsSession *session)
{
    if (!session)
        return NULL;
    gnutls_bye(session->session, GNUTLS_SHUT_WR);
    if (!session->borrowed)
        gnutls_deinit(session->session);
    free(session);
    return NULL;
}
