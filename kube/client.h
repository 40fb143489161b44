/* client.h - a client of the Kubernetes API: requests, and informers that list
 * and then watch. Works with the embedded cluster and with a real one.
 *
 * All in the loop's thread; callbacks come from the loop, never before the
 * call that asked for them returned. */
#pragma once

#include "object.h"

#include "base/http_client.h"

#define KUBE_CLIENT_DEADLINE (10 * UINT64_C(1000000000)) /* ns, of a request */
#define KUBE_CLIENT_REPLY_MAX (32u * 1024u * 1024u)
#define KUBE_CLIENT_CONNECTIONS_MAX 256u /* of one client: each informer holds one */
#define KUBE_INFORMER_PAGE 500u
#define KUBE_INFORMER_SILENCE (60 * UINT64_C(1000000000)) /* a watch without event or bookmark is made anew */

typedef struct KubeClient KubeClient;

typedef struct KubeClientOptions {
    const char *url;                                   /* "https://127.17.8.20:10260" */
    const char *namespace;                             /* where none is given; NULL: "default" */
    const char *ca_file, *certificate_file, *key_file; /* PEM; certificate and key may be NULL */
    const char *token_file; /* bearer token, read again when the file changes (rotation); NULL: none */
} KubeClientOptions;

int kube_client_new(sd_event *event, const KubeClientOptions *options, KubeClient **ret, InaError *error);
/* From the environment: $INAETICS_KUBECONFIG or $KUBECONFIG (a JSON kubeconfig), else the service account of the pod
 * (/var/run/secrets/kubernetes.io/serviceaccount, or below $INAETICS_SERVICE_ACCOUNT, with $KUBERNETES_SERVICE_HOST and
 * _PORT). The message of -ENOENT says what was looked for. */
int kube_client_from_environment(sd_event *event, KubeClient **ret, InaError *error);
/* A kubeconfig in JSON; its current context. Data fields (base64) and files. */
int kube_client_from_file(sd_event *event, const char *path, KubeClient **ret, InaError *error);
const char *kube_client_namespace(const KubeClient *client);
/* Its informers must be gone. Open requests are dropped: `done` is not called. */
KubeClient *kube_client_free(KubeClient *client);

typedef struct KubeReply {
    int status;           /* HTTP; 0: no answer */
    const json_t *object; /* what was answered (on failure the Status), borrowed; NULL: no JSON */
    InaError error;       /* of a failure: the Status' message, or why there was no answer */
} KubeReply;

typedef struct KubeRequest KubeRequest;
typedef void (*KubeDone)(void *userdata, const KubeReply *reply);

/* path: "/api/v1/namespaces/default/pods?limit=5", escaped by the caller. content_type NULL: application/json.
 * `body` is borrowed. NULL: refused at once, error says why. */
KubeRequest *kube_request(KubeClient *client, const char *method, const char *path, const char *content_type,
                          const json_t *body, KubeDone done, void *userdata, InaError *error);
void kube_request_cancel(KubeRequest *request); /* NULL is allowed; not after `done` */
#define KUBE_MERGE_PATCH "application/merge-patch+json"
#define KUBE_JSON_PATCH "application/json-patch+json"
#define KUBE_STRATEGIC_PATCH "application/strategic-merge-patch+json"

/* An informer: a mirror of a collection. Lists in pages, then watches from there with bookmarks; resumes after a break
 * where it was; lists again after 410 and tells the difference. Pauses between attempts grow from 0.1 to 5 s. */
typedef enum KubeChange { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED } KubeChange;
typedef struct KubeInformer KubeInformer;
typedef struct KubeInformerOptions {
    const char *path;           /* "/api/v1/pods", "/apis/apps/v1/namespaces/x/deployments" */
    const char *label_selector; /* NULL: all */
    const char *field_selector;
    /* `object` may be kept with json_incref; it is shared and not to be changed. `old` NULL when ADDED. */
    void (*changed)(void *userdata, KubeChange change, const json_t *object, const json_t *old);
    /* Either may free the informer. */
    /* After the first complete list, and whenever contact is lost or back. */
    void (*synced)(void *userdata, bool connected);
    void *userdata;
} KubeInformerOptions;
KubeInformer *kube_informer_new(KubeClient *client, const KubeInformerOptions *options, InaError *error);
bool kube_informer_synced(const KubeInformer *informer);
const json_t *kube_informer_find(const KubeInformer *informer, const char *namespace, const char *name);
size_t kube_informer_count(const KubeInformer *informer);
/* Every object, in no order; stops when `each` returns false. */
void kube_informer_each(const KubeInformer *informer, bool (*each)(void *userdata, const json_t *object),
                        void *userdata);
const char *kube_informer_error(const KubeInformer *informer); /* why contact was lost last; "" */
KubeInformer *kube_informer_free(KubeInformer *informer);
