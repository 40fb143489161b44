/* main.c - inaetics-verify: was every accepted sample stored, and once? */
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX 86400 /* seconds */
#define LOOK_EVERY_MS 200

enum { STATUS_GOOD, STATUS_LOSS, STATUS_ERROR, STATUS_NOT_EMPTY, STATUS_NO_LEDGER };

typedef struct Arguments {
    const char *data;
    bool json;
    long wait; /* seconds; 0: look once */
} Arguments;

static const char help[] = "usage: inaetics-verify [--data FOLDER] [--json] [--wait SECONDS]\n"
                           "\n"
                           "Compares what producers were promised with what is stored, by producer. It only\n"
                           "reads, and may be run at any time, also while everything runs.\n"
                           "\n"
                           "  --data FOLDER    the instance's data (default: $INAETICS_DATA); in it\n"
                           "                   ledger, volumes/queue and volumes/store are read (and\n"
                           "                   volumes/ledger, where earlier versions kept the ledger)\n"
                           "  --json           the same for programs\n"
                           "  --wait SECONDS   first wait until the queue is empty, at most so long\n"
                           "\n"
                           "ACCEPTED   the producer entered them in its ledger: the queue had taken them\n"
                           "STORED     of these, results that the store has\n"
                           "QUEUED     of these, samples that are still in the queue\n"
                           "EXPIRED    of these, results that the store dropped when it was full, and counted\n"
                           "UNKNOWN    stored or queued, but in no ledger: the producer was ended before it\n"
                           "           got the answer to its put; or its ledger is not there, and then\n"
                           "           nothing can be said of its samples\n"
                           "MISSING    accepted, and nowhere any more. Must be 0\n"
                           "DUPLICATE  counted more than once. Must be 0\n"
                           "\n"
                           "Exit status: 0 nothing is missing or duplicate, 1 something is, 2 something could\n"
                           "not be read, 3 nothing is, but the queue did not become empty in time, 4 nothing\n"
                           "is, but there are samples of producers whose ledger is not there.\n";

static int usage_error(const char *format, const char *what)
{
    fprintf(stderr, "inaetics-verify: ");
    fprintf(stderr, format, what);
    fprintf(stderr, "; see inaetics-verify --help\n");
    return STATUS_ERROR;
}

/* getopt_long takes shortened names too: whether this is the whole one. */
static bool is_whole(const char *argument, const char *name)
{
    size_t length = strcspn(argument + 2, "=");
    return length == strlen(name) && strncmp(argument + 2, name, length) == 0;
}

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, Arguments *ret)
{
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'},
        {"wait", required_argument, NULL, 'w'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},    {0},
    };
    *ret = (Arguments){.data = getenv("INAETICS_DATA")};
    int option, index = -1;
    for (; (option = getopt_long(argc, argv, "h", options, &index)) != -1; index = -1) {
        char *end = NULL;
        const char *argument = argv[optind - (optarg && optarg == argv[optind - 1] ? 2 : 1)];
        if (option != '?' && index >= 0 && !is_whole(argument, options[index].name))
            return usage_error("the name of the option --%s is to be whole", options[index].name);
        switch (option) {
        case 'd':
            ret->data = optarg;
            break;
        case 'j':
            ret->json = true;
            break;
        case 'w':
            errno = 0;
            ret->wait = strtol(optarg, &end, 10);
            if (errno || end == optarg || *end || ret->wait < 0 || ret->wait > WAIT_MAX)
                return usage_error("--wait \"%s\" is not a number of seconds from 0 to 86400", optarg);
            break;
        case 'h':
            fputs(help, stdout);
            return STATUS_GOOD;
        case 'v':
            puts("inaetics-verify " INAETICS_VERSION);
            return STATUS_GOOD;
        default:
            fputs("see inaetics-verify --help\n", stderr);
            return STATUS_ERROR;
        }
    }
    if (optind < argc)
        return usage_error("unexpected \"%s\"", argv[optind]);
    if (!ret->data || !*ret->data)
        return usage_error("%s", "which data? Give --data FOLDER or set INAETICS_DATA");
    return -1;
}

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

typedef struct Paths {
    char ledger[PATH_MAX], earlier_ledger[PATH_MAX], queue[PATH_MAX], store[PATH_MAX];
} Paths;

static int read_ledgers(const Paths *paths, FactsTable *table, bool again, InaError *error)
{
    int result = facts_read_ledgers(table, paths->ledger, again, error);
    return result < 0 ? result : facts_read_ledgers(table, paths->earlier_ledger, again, error);
}

static int read_all(const Paths *paths, FactsTable *table, InaError *error)
{
    int result = read_ledgers(paths, table, false, error);
    if (result == 0)
        result = facts_read_queue(table, paths->queue, error);
    if (result == 0)
        result = facts_read_store(table, paths->store, error);
    if (result == 0)
        result = read_ledgers(paths, table, true, error);
    if (result == 0)
        facts_settle(table);
    return result;
}

/* 1: the queue was empty once; samples that came since do not matter. 0: not in time. */
static int wait_for_queue(const Arguments *arguments, const Paths *paths, InaError *error)
{
    int64_t deadline = now_ms() + arguments->wait * 1000;
    for (;;) {
        FactsTable table = {0};
        int result = facts_read_queue(&table, paths->queue, error);
        facts_settle(&table);
        uint64_t queued = facts_queued(&table);
        facts_clear(&table);
        if (result < 0)
            return result;
        if (queued == 0 || now_ms() >= deadline)
            return queued == 0;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_MS * 1000000L}, NULL);
    }
}

static int report(const Arguments *arguments, const FactsTable *table, bool emptied, InaError *error)
{
    Report report = {0};
    int status = STATUS_ERROR;
    if (report_make(table, &report, error) == 0) {
        (arguments->json ? report_print_json : report_print)(&report, stdout);
        status = report_loss(&report)    ? STATUS_LOSS
                 : !report_good(&report) ? STATUS_NO_LEDGER
                 : emptied               ? STATUS_GOOD
                                         : STATUS_NOT_EMPTY;
    }
    report_clear(&report);
    if (!emptied)
        fprintf(stderr, "inaetics-verify: the queue was not empty within %ld s\n", arguments->wait);
    return status;
}

static int verify(const Arguments *arguments, const Paths *paths, InaError *error)
{
    FactsTable table = {0};
    int emptied = arguments->wait > 0 ? wait_for_queue(arguments, paths, error) : 1;
    int status = STATUS_ERROR;
    if (emptied >= 0 && read_all(paths, &table, error) == 0)
        status = report(arguments, &table, emptied == 1, error);
    facts_clear(&table);
    return status;
}

int main(int argc, char **argv)
{
    Arguments arguments;
    static Paths paths;
    int status = read_arguments(argc, argv, &arguments);
    if (status >= 0)
        return status;
    if (access(arguments.data, R_OK | X_OK) < 0) {
        fprintf(stderr, "inaetics-verify: %s: %s\n", arguments.data, strerror(errno));
        return STATUS_ERROR;
    }
    if (snprintf(paths.ledger, PATH_MAX, "%s/ledger", arguments.data) >= PATH_MAX ||
        snprintf(paths.earlier_ledger, PATH_MAX, "%s/volumes/ledger", arguments.data) >= PATH_MAX ||
        snprintf(paths.queue, PATH_MAX, "%s/volumes/queue", arguments.data) >= PATH_MAX ||
        snprintf(paths.store, PATH_MAX, "%s/volumes/store/results.db", arguments.data) >= PATH_MAX)
        return usage_error("%s", "the path of the data is too long");
    InaError error = {0};
    status = verify(&arguments, &paths, &error);
    if (status == STATUS_ERROR)
        fprintf(stderr, "inaetics-verify: %s\n", error.message);
    if (fflush(stdout) != 0 && status != STATUS_ERROR) {
        fprintf(stderr, "inaetics-verify: cannot print: %s\n", strerror(errno));
        status = STATUS_ERROR;
    }
    return status;
}
