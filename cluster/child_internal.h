/* child_internal.h - what child.c and children.c share. */
#pragma once

#include "child.h"

struct Children {
    sd_event *event;
    sd_event_source *signal_source;
    Child *first;
};

struct Child {
    Children *children;
    Child *next;
    pid_t pid; /* -1: none (any more) */
    int pidfd, output;
    sd_event_source *exit_source, *output_source;
    void (*on_output)(void *userdata, const void *data, size_t size);
    void (*on_exit)(void *userdata, int status);
    void *userdata;
};
