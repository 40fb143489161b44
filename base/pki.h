/* pki.h - the cluster's certificate authority and its certificates (GnuTLS,
 * ECDSA P-256). Keys are written with mode 0600 in a folder of mode 0700. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>

/* Makes folder/ca.pem and folder/ca-key.pem unless both are there; refuses a
 * folder that others can read and a certificate that does not fit its key. */
int pki_ensure_ca(const char *folder, const char *name, InaError *error);

typedef enum PkiUsage { PKI_SERVER_AND_CLIENT, PKI_CLIENT } PkiUsage;

/* Makes folder/NAME.pem and NAME-key.pem, signed by the CA of the folder,
 * unless they are there, still valid for 30 days, and for these addresses. A
 * client certificate has no common name (etcd's gateway refuses others) but an
 * organisation. `addresses` are IP addresses or DNS names. */
int pki_ensure_certificate(const char *folder, const char *name, PkiUsage usage, const char *organisation,
                           const char *const *addresses, size_t n_addresses, InaError *error);

/* Makes path with `bytes` random bytes in hex, mode 0600, unless it is there;
 * returns its text, malloc'ed. */
int pki_ensure_token(const char *path, size_t bytes, char **ret, InaError *error);
