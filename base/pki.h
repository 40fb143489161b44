/* pki.h - the cluster's certificate authority and its certificates (GnuTLS,
 * ECDSA P-256). Keys are written with mode 0600 in a folder of mode 0700.
 *
 * Every function waits for the disk, and for another process that uses the
 * same folder at most PKI_LOCK_SECONDS (-EBUSY): call them at start. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>

#define PKI_ADDRESSES_MAX 64u
#define PKI_CA_DAYS 3650
#define PKI_CERTIFICATE_DAYS 365
#define PKI_RENEW_BEFORE_DAYS 30
#define PKI_LOCK_SECONDS 5

/* Makes folder/ca.pem and folder/ca-key.pem unless both are there. Refused are
 * a folder or key that others can read or own (-EPERM), a certificate that does not
 * fit its key, is no CA or has run out (-EINVAL), and one without its key
 * (-ENOENT): a new CA would lock out all that trust the old one. */
int pki_ensure_ca(const char *folder, const char *name, InaError *error);

typedef enum PkiUsage { PKI_SERVER_AND_CLIENT, PKI_CLIENT } PkiUsage;

/* Makes folder/NAME.pem and NAME-key.pem, signed by the CA of the folder,
 * unless they are there, fit each other and the CA, are still valid for
 * PKI_RENEW_BEFORE_DAYS, and are for this usage, this organisation and exactly
 * these addresses. A client certificate has no common name (etcd's gateway refuses others) but an
 * organisation. `addresses` are IP addresses or DNS names. */
int pki_ensure_certificate(const char *folder, const char *name, PkiUsage usage, const char *organisation,
                           const char *const *addresses, size_t n_addresses, InaError *error);

/* Makes path with `bytes` (16 to 256) random bytes in hex, mode 0600, unless it
 * is there; returns its text, malloc'ed. A file that others can read is
 * refused, and one whose text is not 16 to 512 visible ASCII characters. */
int pki_ensure_token(const char *path, size_t bytes, char **ret, InaError *error);

/* The first line of a file with a token, malloc'ed; fewer than TOKEN_MIN
 * characters are refused. `path` NULL: there is none, and *ret is NULL. */
#define TOKEN_MIN 16u
int token_read(const char *path, char **ret, InaError *error);
