/* container_log.h - what a container writes, kept in files and handed to those
 * who follow.
 *
 * NAME.log is the present file; when it has reached its size, or a new run of
 * the container begins, it becomes NAME.log.1, that NAME.log.2 and so on up to
 * CONTAINER_LOG_OLD_MAX; the oldest is removed. Single-threaded. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONTAINER_LOG_SIZE_DEFAULT (8u * 1024u * 1024u)
#define CONTAINER_LOG_OLD_MAX 5u
#define CONTAINER_LOG_FOLLOWERS_MAX 64u

typedef struct ContainerLog ContainerLog;
typedef struct LogFollower LogFollower;
typedef struct LogReader LogReader;

/* Makes the folder. What a file of a former life holds counts as the run before. */
int container_log_open(const char *folder, const char *name, size_t size_max, ContainerLog **ret, InaError *error);
/* From now on each line begins with its time and a blank ("2026-01-31T12:00:00.123456789Z "). */
void container_log_stamp(ContainerLog *log);
/* A new run begins. */
void container_log_begin(ContainerLog *log);
/* Never fails: what cannot be written (disk full) is counted and said in the file later. */
void container_log_write(ContainerLog *log, const void *data, size_t size);

/* Reads the present run (or the one before), from the start or the last
 * `tail` lines (negative: all). It is a snapshot: it ends where the log ended when
 * it was opened. */
int container_log_reader(ContainerLog *log, bool previous, long tail, LogReader **ret, InaError *error);
/* Up to `size` bytes; 0 at the end. */
ssize_t log_reader_read(LogReader *reader, void *data, size_t size);
LogReader *log_reader_free(LogReader *reader);

/* Told what is written from now on; `ended` when the log is closed (the
 * follower is gone then). NULL: too many, or out of memory. */
LogFollower *container_log_follow(ContainerLog *log, void (*written)(void *userdata, const void *data, size_t size),
                                  void (*ended)(void *userdata), void *userdata);
void container_log_unfollow(ContainerLog *log, LogFollower *follower);
ContainerLog *container_log_free(ContainerLog *log);
