/* viewer.h - the viewer's parts among themselves. */
#pragma once

#include "cluster.h"
#include "model.h"
#include "session.h"

#define VIEWER_STREAMS_MAX 256u
#define VIEWER_EXPORTS_MAX 8u

typedef struct Stream Stream;

typedef struct Viewer {
    InaClient *store, *coordinator, *cluster; /* optional services */
    const char *directory, *session_file, *password_file;
    double initial_utilization;
    InaComponent *component;
    Model *model;
    ClusterPanel *panel;
    Sessions *sessions;
    Stream *streams;
    unsigned n_streams, n_exports;
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
