/* client_internal.h - what client.c, client_config.c and informer.c share. */
#pragma once

#include "client.h"

/* What a client is made of, all malloc'ed; files made from data of a kubeconfig are in memory (memfd). */
typedef struct KubeConfig {
    char *url, *namespace, *ca_file, *certificate_file, *key_file, *token_file, *token;
    int memory[3]; /* descriptors to close with the client; -1: none */
} KubeConfig;

void kube_config_clear(KubeConfig *config);
/* Takes the config, also on failure. */
int kube_client_new_from(sd_event *event, KubeConfig *config, KubeClient **ret, InaError *error);

/* What a fetch adds to a path: the client's URL, who it is, JSON wanted. options: url NULL, headers NULL. */
InaHttpFetch *kube_client_fetch(KubeClient *client, const char *path, const char *content_type,
                                InaHttpFetchOptions *options, InaError *error);
sd_event *kube_client_loop(KubeClient *client);
/* The error of an answer that is none of success: the Status' message, or what is known. */
void kube_reply_error(int status, const json_t *object, const char *what, InaError *ret);
