/* exec.h - a command beside a container, its streams over a WebSocket in
 * Kubernetes' channels: 0 stdin, 1 stdout, 2 stderr, 3 how it ended (a Status),
 * 4 the terminal's size; in v5 255 closes a stream.
 *
 * The command ends when its client leaves. */
#pragma once

#include "container.h"

#include "base/http_tunnel.h"

#define EXEC_ARGUMENTS_MAX 256u
#define EXEC_MAX 64u /* of a node, at a time */

typedef struct Execs Execs; /* all of a node */

Execs *execs_new(const ContainerHost *host); /* NULL: out of memory */
/* Answers the request: 101, or a failure as text. */
void exec_begin(Execs *execs, InaHttpRequest *request, Container *container);
/* Kills what runs in the container, or (NULL) everywhere. */
void execs_end(Execs *execs, const Container *container);
/* Ends the streams that are open: before the server is freed. */
void execs_close(Execs *execs);
Execs *execs_free(Execs *execs); /* after it */
