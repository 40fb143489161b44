/* link.h - one-time tokens of session links, as docs/contracts.md has them:
 * NONCE.MAC, the MAC under the session secret. Whoever serves the pages takes
 * each nonce once. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>

#define LINK_TOKEN_MAX 128u

/* -EINVAL: the secret is empty. */
int link_token(const char *secret, char ret[LINK_TOKEN_MAX], InaError *error);
