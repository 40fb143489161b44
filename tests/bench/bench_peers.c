/* bench_peers.c - our queue and other brokers under the same load, in one run.
 *
 *   bench_peers AGENT QUEUE.zip [--beanstalkd PROGRAM] [--redis PROGRAM] [--rabbitmq ERLEXEC]
 *               [--seconds S] [--rounds N] [--batch SIZE] [--patience S] [--directory DIR]
 *
 * Those whose programs are given are compared. All keep what they accept on
 * disk before they answer. They take turns, in another order in each round,
 * since the machine drifts; medians of the rounds are compared. Status 1 if
 * anybody lost anything. */
#include "base/files.h"
#include "peer.h"
#include "queue_load.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAXIMUM 99
#define LATENCY_TURNS 4
#define CONTENDERS_MAXIMUM 5 /* the first is ours */

typedef enum What { PUT, BOTH, LATENCY } What;

typedef struct Contender {
    const char *name;
    QueueLoad *ours; /* else: */
    PeerLoad peer;
    BenchTimes rates, p50s, p99s; /* of the rounds of one load */
    uint64_t put, acknowledged;
    bool wrong;
} Contender;

typedef struct Comparison {
    Contender contenders[CONTENDERS_MAXIMUM];
    size_t n_contenders;
    BenchTimes floors; /* medians of bare fdatasyncs */
    double seconds;
    unsigned rounds;
    size_t batch; /* only this size; 0: all */
    char folder[4096];
    int folder_fd;
} Comparison;

static LoadResult measure(Contender *contender, What what, const Load *load, double seconds)
{
    QueueLoad *ours = contender->ours;
    PeerLoad *peer = &contender->peer;
    switch (what) {
    case PUT:
        return ours ? queue_load_put(ours, load->batch, load->window, seconds)
                    : peer_load_put(peer, load->batch, load->window, seconds);
    case BOTH:
        return ours ? queue_load_both(ours, load->batch, load->window, seconds)
                    : peer_load_both(peer, load->batch, load->window, seconds);
    default:
        return ours ? queue_load_latency(ours, 1, seconds) : peer_load_latency(peer, seconds);
    }
}

static void measure_all(Comparison *comparison, What what, const Load *load)
{
    /* Short turns, for latencies are few and the disk drifts. */
    unsigned rounds = comparison->rounds * (what == LATENCY ? LATENCY_TURNS : 1);
    double seconds = comparison->seconds / (what == LATENCY ? LATENCY_TURNS : 1);
    for (size_t i = 0; i < comparison->n_contenders; i++) {
        bench_clear(&comparison->contenders[i].rates);
        bench_clear(&comparison->contenders[i].p50s);
        bench_clear(&comparison->contenders[i].p99s);
    }
    for (unsigned round = 0; round < rounds; round++) {
        if (what == LATENCY) {
            bench_add(&comparison->floors, bench_floor_sync(comparison->folder, 40, seconds));
        }
        for (size_t i = 0; i < comparison->n_contenders; i++) {
            Contender *contender = &comparison->contenders[(round + i) % comparison->n_contenders];
            syncfs(comparison->folder_fd); /* nobody pays for what another left to write */
            LoadResult result = measure(contender, what, load, seconds);
            bench_add(&contender->rates, (double)result.put / result.seconds);
            bench_add(&contender->p50s, result.p50);
            bench_add(&contender->p99s, result.p99);
            contender->put += result.put;
            contender->acknowledged += result.acknowledged;
            contender->wrong |= result.wrong;
        }
    }
}

/* --- tables ------------------------------------------------------------------------- */

static void print_heads(const Comparison *comparison, const char *title)
{
    printf("\n%-38s", title);
    for (size_t i = 0; i < comparison->n_contenders; i++) {
        printf(" %15s", comparison->contenders[i].name);
    }
    printf("%s\n", comparison->n_contenders > 1 ? "  ours is" : "");
}

static void compare_rates(Comparison *comparison, What what)
{
    for (size_t i = 0; i < sizeof(load_all) / sizeof(*load_all); i++) {
        const Load *load = &load_all[i];
        const Contender *best = NULL;
        double ours = 0, best_rate = 0;
        if (comparison->batch != 0 && comparison->batch != load->batch) {
            continue;
        }
        measure_all(comparison, what, load);
        printf("%-13s batch %4zu, %4lu outstanding", what == PUT ? "put" : "put+take+ack", load->batch,
               (unsigned long)load->window);
        for (size_t j = 0; j < comparison->n_contenders; j++) {
            Contender *contender = &comparison->contenders[j];
            double rate = bench_percentile(&contender->rates, 50);
            printf(" %15.0f", rate);
            if (contender->ours) {
                ours = rate;
            } else if (rate > best_rate) {
                best = contender;
                best_rate = rate;
            }
        }
        if (best) {
            printf("  %.1f times the best peer (%s)%s", ours / best_rate, best->name,
                   ours < best_rate ? ": BELOW" : "");
        }
        printf("\n");
        fflush(stdout);
    }
}

static void compare_latency(Comparison *comparison)
{
    static const Load load = {.batch = 1, .window = 1};
    measure_all(comparison, LATENCY, &load);
    double floor = bench_percentile(&comparison->floors, 50);
    print_heads(comparison, "put, one sample outstanding");
    for (unsigned line = 0; line < 3; line++) {
        static const char *const names[] = {"p50, us", "p50, times a bare fdatasync", "p99, us"};
        double ours = 0, best = 0;
        printf("%-38s", names[line]);
        for (size_t i = 0; i < comparison->n_contenders; i++) {
            Contender *contender = &comparison->contenders[i];
            double value = bench_percentile(line == 2 ? &contender->p99s : &contender->p50s, 50);
            value = line == 1 ? value / floor : value;
            printf(line == 1 ? " %15.2f" : " %15.0f", value);
            if (contender->ours) {
                ours = value;
            } else if (best == 0 || value < best) {
                best = value;
            }
        }
        if (best > 0 && line != 1) {
            printf("  %.2f times the best peer", ours / best);
        }
        printf("\n");
    }
    printf("%-38s %15.0f us\n", "fdatasync of 40 bytes, preallocated, p50", floor);
}

/* What came out must be what was put. */
static bool report_losses(const Comparison *comparison)
{
    bool lost = false;
    print_heads(comparison, "samples");
    printf("%-38s", "put");
    for (size_t i = 0; i < comparison->n_contenders; i++) {
        printf(" %15lu", (unsigned long)comparison->contenders[i].put);
    }
    printf("\n%-38s", "taken and acknowledged");
    for (size_t i = 0; i < comparison->n_contenders; i++) {
        printf(" %15lu", (unsigned long)comparison->contenders[i].acknowledged);
    }
    printf("\n");
    for (size_t i = 0; i < comparison->n_contenders; i++) {
        const Contender *contender = &comparison->contenders[i];
        if (contender->put != contender->acknowledged) {
            printf("LOST by %s: %ld samples\n", contender->name, (long)(contender->put - contender->acknowledged));
            lost = true;
        } else if (contender->wrong) {
            printf("WRONG at %s: other samples came out than were put, or a put was not answered\n", contender->name);
            lost = true;
        }
    }
    return lost;
}

/* --- the program --------------------------------------------------------------------- */

static void add_peer(Comparison *comparison, const PeerKind *kind, const char *program, double patience)
{
    Contender *contender = &comparison->contenders[comparison->n_contenders++];
    contender->name = kind->name;
    if (program) {
        peer_load_start(&contender->peer, kind, program, comparison->folder, patience);
    } else {
        peer_load_join(&contender->peer, kind, &contender[-1].peer);
    }
    printf("%-16s %s\n", kind->name, kind->settings);
    fflush(stdout);
}

static void print_memory(const Comparison *comparison)
{
    printf("%-38s", "resident at most, MB");
    for (size_t i = 0; i < comparison->n_contenders; i++) {
        const Contender *contender = &comparison->contenders[i];
        BenchAgent server = {.pid = contender->ours ? contender->ours->agent.pid : contender->peer.pid};
        if (server.pid == 0) {
            printf(" %15s", "the same");
        } else {
            printf(" %15.1f", bench_agent_memory(&server, "VmHWM") / 1e6);
        }
    }
    printf("\n");
}

/* Returns in a child. Whoever interrupts us must not be left with the data, which may be gigabytes; after a failure it
 * stays, since logs are in it. */
static void guard(const char *folder)
{
    int status = 0;
    InaError error = {0};
    pid_t pid = bench_child_begin();
    if (pid == 0) {
        return;
    }
    signal(SIGINT, SIG_IGN); /* the child has it, too */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) {
        exit(WEXITSTATUS(status));
    }
    for (int tries = 0; folder_remove(folder, &error) < 0 && tries < 100; tries++) {
        usleep(50000); /* servers are ending, and may have written meanwhile */
    }
    exit(128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"beanstalkd", required_argument, NULL, 'k'},
        {"redis", required_argument, NULL, 'r'},
        {"rabbitmq", required_argument, NULL, 'q'},
        {"seconds", required_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 'n'},
        {"batch", required_argument, NULL, 'b'},
        {"patience", required_argument, NULL, 'p'},
        {"directory", required_argument, NULL, 'd'},
        {0},
    };
    static Comparison comparison = {.seconds = 1, .rounds = 3};
    static QueueLoad ours;
    const char *parent = "/tmp", *beanstalkd = NULL, *redis = NULL, *rabbitmq = NULL;
    double patience = 30;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        switch (c) {
        case 'k':
            beanstalkd = optarg;
            break;
        case 'r':
            redis = optarg;
            break;
        case 'q':
            rabbitmq = optarg;
            break;
        case 's':
            comparison.seconds = strtod(optarg, NULL);
            break;
        case 'n':
            comparison.rounds = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            comparison.batch = (size_t)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            patience = strtod(optarg, NULL);
            break;
        case 'd':
            parent = optarg;
            break;
        default:
            return 2;
        }
    }
    snprintf(comparison.folder, sizeof(comparison.folder), "%s/inaetics-peers-XXXXXX", parent);
    if (argc - optind != 2 || comparison.rounds < 1 || comparison.rounds > ROUNDS_MAXIMUM || comparison.seconds <= 0 ||
        !mkdtemp(comparison.folder)) {
        bench_die("usage: bench_peers AGENT QUEUE.zip [--beanstalkd PROGRAM] [--redis PROGRAM] [--rabbitmq ERLEXEC]\n"
                  "    [--seconds S] [--rounds 1..%d] [--batch 1|100|1000] [--patience S] [--directory DIR]",
                  ROUNDS_MAXIMUM);
    }
    guard(comparison.folder);
    comparison.folder_fd = open(comparison.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    queue_load_start(&ours, argv[optind], argv[optind + 1], comparison.folder);
    comparison.contenders[comparison.n_contenders++] = (Contender){.name = "inaetics", .ours = &ours};
    printf("%-16s group commit; Put, Take and Acknowledge over HTTP\n", "inaetics");
    if (beanstalkd) {
        add_peer(&comparison, &peer_beanstalkd, beanstalkd, patience);
    }
    if (redis) {
        add_peer(&comparison, &peer_redis, redis, patience);
    }
    if (rabbitmq) {
        add_peer(&comparison, &peer_rabbitmq, rabbitmq, patience);
        add_peer(&comparison, &peer_rabbitmq_quorum, NULL, patience);
    }
    print_heads(&comparison, "samples per second");
    compare_rates(&comparison, PUT);
    compare_rates(&comparison, BOTH);
    compare_latency(&comparison);
    bool lost = report_losses(&comparison);
    print_memory(&comparison);
    for (size_t i = 0; i < comparison.n_contenders; i++) {
        peer_load_stop(&comparison.contenders[i].peer);
    }
    bench_agent_stop(&ours.agent);
    InaError error = {0};
    if (folder_remove(comparison.folder, &error) < 0) {
        bench_die("%s", error.message);
    }
    return lost;
}
