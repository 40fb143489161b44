/* accounts_internal.h - what the files of the accounts share. */
#pragma once

#include "accounts.h"
#include "base/map.h"

#include <sodium.h>
#include <stdio.h>

#define ACCOUNT_DEFAULT_NAME "d"
#define ACCOUNT_DEFAULT_PASSWORD "f"
#define TOKEN_DIGEST_SIZE crypto_hash_sha256_BYTES
#define TOKEN_KEY_SIZE (2 * TOKEN_DIGEST_SIZE + 1) /* the digest in hex */

typedef struct StoredAccount {
    Account account;
    char hash[ACCOUNT_HASH_SIZE];
} StoredAccount;

typedef struct Session {
    char name[ACCOUNT_NAME_MAX + 1];
    uint64_t password; /* of the account when it began */
    int64_t began;
} Session;

typedef struct Attempts {
    unsigned wrong;
    int64_t last;
} Attempts;

typedef struct TargetToken {
    char *target;
    char digest[TOKEN_KEY_SIZE];
} TargetToken;

struct Accounts {
    Database *database;
    Map *by_name;  /* StoredAccount */
    Map *sessions; /* by the digest of their token in hex: Session */
    Map *attempts; /* by address: Attempts */
    Map *targets;  /* by id: TargetToken */
    Map *tokens;   /* the same by the digest of the token in hex; owned by `targets` */
    uint64_t passwords;
    bool is_default;
};

int role_permissions_checked(const char *role, uint32_t *ret, InaError *error);
void accounts_targets_free(Accounts *accounts);
int accounts_targets_read(Accounts *accounts, InaError *error); /* accounts_tokens.c */
