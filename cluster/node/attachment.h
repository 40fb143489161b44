/* attachment.h - one writer per volume: the folder of a claim says in
 * .attachment.json who has it.
 *
 *   {"epoch": 3, "node": "node-2", "pod": "default/queue-x7", "uid": "ITS UID",
 *    "processes": [{"pid": 71, "start": 123456}]}
 *
 * Whoever attaches it for another pod first kills (SIGKILL ends a frozen
 * process too) what the record names and whatever else has that pod's uid in
 * its environment (INAETICS_POD_UID), waits for its end, and raises the epoch.
 * A process is named by pid and start time, since pids are used again. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define ATTACHMENT_FILE ".attachment.json"
#define ATTACHMENT_FILES ".attachment." /* what all of its files begin with */
#define ATTACHMENT_PROCESSES_MAX 64u
#define ATTACHMENT_WAIT_US UINT64_C(10000000) /* for the end of what was killed */

/* The epoch, when the pod `uid` has the folder. -ESTALE: another has it. -ENOENT: nobody. */
int attachment_check(const char *folder, const char *uid, uint64_t *ret_epoch, InaError *error);
/* Who has it, when that is another: "NAMESPACE/NAME" and uid, malloc'ed; NULL: nobody else, or nobody that is known. */
char *attachment_holder(const char *folder, const char *uid, char **ret_uid);
/* Notes a process of the pod that has it; those that have ended are forgotten. -ESTALE. */
int attachment_note(const char *folder, const char *uid, pid_t pid, InaError *error);

typedef struct Attachment Attachment;
/* For the pod "NAMESPACE/NAME". `done` once, from the loop: epoch, or 0 and why not. */
int attachment_take(sd_event *event, const char *folder, const char *node, const char *pod, const char *uid,
                    void (*done)(void *userdata, uint64_t epoch, const InaError *error), void *userdata,
                    Attachment **ret, InaError *error);
Attachment *attachment_free(Attachment *attachment); /* gives up; after `done` too */

/* Field 22 of /proc/PID/stat (clock ticks after boot); 0: no such process. */
uint64_t process_start(pid_t pid);
