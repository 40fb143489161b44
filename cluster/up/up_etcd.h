/* up_etcd.h - etcd as `inaetics up` runs it: its options, whether it answers,
 * and care for its state. */
#pragma once

#include "cluster/instance.h"

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

typedef struct EtcdKeeper EtcdKeeper;
/* Asks until it is healthy, then withdraws what the agents of an earlier run
 * told it, then `started`. At the start and each ETCD_CARE_SECONDS it looks for
 * the alarm of a full quota: history is thrown away then, the space given back
 * and the alarm ended, so that etcd takes writes again. */
#define ETCD_CARE_SECONDS 30
int etcd_keeper_new(sd_event *event, const Instance *instance, void (*started)(void *userdata), void *userdata,
                    EtcdKeeper **ret, InaError *error);
EtcdKeeper *etcd_keeper_free(EtcdKeeper *keeper);
