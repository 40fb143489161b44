/* viewer.h - the viewer's parts among themselves. */
#pragma once

#include "cluster.h"
#include "model.h"
#include "session.h"

#define VIEWER_STREAMS_MAX 256u
#define VIEWER_EXPORTS_MAX 8u
#define VIEWER_ASKED_MAX 8u

typedef struct Stream Stream;

/* A browser that waits to be told whether there is a provisioning page. */
typedef struct LinkAsked {
    InaHttpRequest *request; /* NULL: unused */
    InaHttpFetch *fetch;
    unsigned port;
} LinkAsked;

typedef struct Viewer {
    InaClient *store, *coordinator, *cluster; /* optional services */
    const char *directory, *session_file, *password_file, *provisioning;
    double initial_utilization;
    InaComponent *component;
    Model *model;
    ClusterPanel *panel;
    Sessions *sessions;
    Stream *streams;
    unsigned n_streams, n_exports;
    LinkAsked asked[VIEWER_ASKED_MAX];
} Viewer;

/* Answers with a JSON value and takes the reference; NULL: out of memory. */
void respond_json(InaHttpRequest *request, int status, json_t *value);

/* /events: server-sent events */
void streams_open(Viewer *viewer, InaHttpRequest *request);
void streams_publish(Viewer *viewer);
void streams_close(Viewer *viewer);

/* /coordinator/...: the original's endpoints */
void original_handle(Viewer *viewer, InaHttpRequest *request);

/* /report/aggregate, /report/results, /report/results.csv, /report/results.ndjson */
void report_handle(Viewer *viewer, InaHttpRequest *request);

/* Sets the preferred utilization and keeps it across restarts. */
void viewer_set_preferred(Viewer *viewer, double percent);

/* /links: {"provisioning": {"port"} | {"url"} | null}; null while none answers */
void links_handle(Viewer *viewer, InaHttpRequest *request);
/* Whether the text can say where the provisioning page is: a port, a URL, or nothing. */
bool links_valid(const char *text);
void links_close(Viewer *viewer);
