/* pki_certificate.h - making and judging X.509 certificates with GnuTLS; the
 * part of pki.c that knows no files. */
#pragma once

#include "pki.h"

#include <gnutls/x509.h>
#include <stdbool.h>

typedef struct CertificatePair {
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
} CertificatePair;

typedef struct CertificateRequest {
    const char *name;
    PkiUsage usage;
    const char *organisation;
    const char *const *addresses;
    size_t n_addresses;
} CertificateRequest;

/* On failure *ret is left empty; certificate_pair_clear frees it otherwise. */
int certificate_make_ca(const char *name, CertificatePair *ret, InaError *error);
int certificate_make(const CertificateRequest *request, const CertificatePair *ca, CertificatePair *ret,
                     InaError *error);
/* -EINVAL when the key is not the certificate's. */
int certificate_pair_parse(const char *certificate, const char *key, CertificatePair *ret, InaError *error);
/* PEM texts, malloc'ed. */
int certificate_pair_print(const CertificatePair *pair, char **ret_certificate, char **ret_key, InaError *error);
void certificate_pair_clear(CertificatePair *pair);

int certificate_check_ca(const CertificatePair *ca, InaError *error);
/* Whether it is what was requested, signed by `ca`, and valid for PKI_RENEW_BEFORE_DAYS more. */
bool certificate_serves(const CertificatePair *pair, const CertificatePair *ca, const CertificateRequest *request);

int certificate_random_hex(size_t bytes, char *text, InaError *error); /* 2 * bytes + 1 characters */
