/* up_etcd.h - etcd as `inaetics up` runs it: its options, whether it answers,
 * and tidying up its state. */
#pragma once

#include "instance.h"

#include "base/http_client.h"

#define ETCD_QUOTA_BYTES 268435456 /* 256 MiB: records take some kilobytes, the rest is history */

/* The arguments, argv[0] first, NULL behind the last. */
#define ETCD_ARGUMENTS_MAX 48
typedef struct EtcdArguments {
    char *items[ETCD_ARGUMENTS_MAX];
    size_t count;
} EtcdArguments;
int etcd_arguments(const Instance *instance, EtcdArguments *ret, InaError *error);
void etcd_arguments_clear(EtcdArguments *arguments);

/* Where it is: `given`, $INAETICS_ETCD_PROGRAM, beside us, in $PATH. malloc'ed. */
int etcd_find(const char *given, char **ret, InaError *error);

typedef struct EtcdStart EtcdStart;
/* Asks until it is healthy, then withdraws what the agents of an earlier run
 * left there and clears a full quota; then `done`. */
int etcd_start_new(sd_event *event, const Instance *instance, void (*done)(void *userdata), void *userdata,
                   EtcdStart **ret, InaError *error);
EtcdStart *etcd_start_free(EtcdStart *start);
